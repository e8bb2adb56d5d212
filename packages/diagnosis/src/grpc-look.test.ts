import { once } from "node:events";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { CertificateAuthority, type CertifiedKey } from "@fairlead/certificates";
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { grpcLook } from "./grpc-look.ts";

let ca: string;
let certified: CertifiedKey;
let server: Http2SecureServer;

beforeAll(async () => {
  const authority = await CertificateAuthority.create("test authority", 1);
  ca = authority.pem;
  certified = await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 });
});
afterEach(() => void server.close());

async function reach(answer: (stream: ServerHttp2Stream) => void): Promise<TLSSocket> {
  server = createSecureServer(certified);
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    answer(stream);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", ca, ALPNProtocols: ["h2"] });
  await once(socket, "secureConnect");
  return socket;
}

const GRPC = { ":status": 200, "content-type": "application/grpc+proto" };

/** GetRelayResponse{version: "1.2.3"}, by hand. */
const ANSWER = Buffer.from([0, 0, 0, 0, 7, 0x0a, 5, ...Buffer.from("1.2.3")]);

describe("a call to the relay", () => {
  it("brings what it is", async () => {
    const socket = await reach((stream) => {
      stream.respond(GRPC, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(ANSWER);
    });
    expect((await grpcLook(socket, "relay:443")).relay.version).toBe("1.2.3");
  });

  it.each<[string, (stream: ServerHttp2Stream) => void, object]>([
    [
      "a load balancer without a relay behind it",
      (stream) => {
        stream.respond({ ":status": 503, "content-type": "text/plain", server: "envoy" });
        stream.end("no healthy upstream");
      },
      { check: "grpc", seen: "HTTP 503, server: envoy, text/plain, no healthy upstream" },
    ],
    [
      "a web server",
      (stream) => stream.respond({ ":status": 404 }, { endStream: true }),
      { check: "grpc", seen: "HTTP 404", remedy: /no relay, or one that is older/ },
    ],
    [
      "something that drops trailers",
      (stream) => {
        stream.respond(GRPC);
        stream.end(ANSWER);
      },
      { check: "grpc", seen: "the answer has no trailers (grpc-status)" },
    ],
    [
      "a relay that is older",
      (stream) => stream.respond({ ...GRPC, "grpc-status": "12" }, { endStream: true }),
      { check: "version", remedy: "update the relay" },
    ],
    ["something that cuts the call", (stream) => stream.close(2), { check: "grpc", seen: /^the call broke: / }],
    [
      "a redirect",
      (stream) => stream.respond({ ":status": 302, location: "https://portal/" }, { endStream: true }),
      { check: "grpc", seen: "HTTP 302, location: https://portal/" },
    ],
  ])("names what answers: %s", async (_what, answer, failure) => {
    const expected = Object.entries(failure).map(([key, value]) => [
      key,
      value instanceof RegExp ? expect.stringMatching(value) : value,
    ]);
    await expect(grpcLook(await reach(answer), "relay:443")).rejects.toMatchObject(Object.fromEntries(expected));
  });
});
