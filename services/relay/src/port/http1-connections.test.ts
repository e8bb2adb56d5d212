import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createSecureServer, type Http2SecureServer } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { CertificateAuthority, type CertifiedKey } from "@fairlead/certificates";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { DirectEndpoint } from "../direct/direct-endpoint.ts";
import { Http1Connections } from "./http1-connections.ts";

const TIMEOUT_MS = 200;
let certified: CertifiedKey;
let server: Http2SecureServer;
let socket: TLSSocket;
/** What was handed on, by whom it is for. */
let handed: { to: "cluster" | "others"; request: IncomingMessage; response: ServerResponse | undefined }[];

beforeAll(async () => {
  const authority = await CertificateAuthority.create("authority", 1);
  certified = await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  handed = [];
  const direct = {
    covers: (url?: string) => url?.startsWith("/clusters/") ?? false,
    request: (request: IncomingMessage, response: ServerResponse) => {
      request.resume();
      handed.push({ to: "cluster", request, response });
    },
    upgrade: (request: IncomingMessage, upgraded: Socket) => {
      handed.push({ to: "cluster", request, response: undefined });
      upgraded.end("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    },
  };
  const connections = new Http1Connections(
    direct as unknown as DirectEndpoint,
    (request, response) => {
      (request as IncomingMessage).resume();
      handed.push({ to: "others", request: request as IncomingMessage, response: response as ServerResponse });
    },
    { requestTimeoutMs: TIMEOUT_MS },
  );
  server = createSecureServer({ ...connections.options, ...certified });
  connections.serve(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  socket = connect({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false });
  socket.on("error", () => {}).resume();
  await once(socket, "secureConnect");
});
afterEach(() => {
  socket.destroy();
  server.close();
});

const send = (path: string, ...lines: string[]) =>
  socket.write(`POST ${path} HTTP/1.1\r\nHost: relay\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);
async function arrived(count = 1): Promise<void> {
  while (handed.length < count) await new Promise((resolve) => setImmediate(resolve));
}
const closed = () => once(socket, "close");
const passes = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a body that does not come to its end", () => {
  it("of a request that is for no cluster is waited for so long, and no longer", async () => {
    send("/api", "Content-Length: 10");
    await arrived();
    const since = performance.now();
    await closed();
    expect(performance.now() - since).toBeGreaterThan(TIMEOUT_MS * 0.9);
  });

  it("does not go on for longer by coming byte by byte", async () => {
    send("/api", "Content-Length: 1000");
    const drip = setInterval(() => socket.write("x"), 20);
    await closed();
    clearInterval(drip);
    expect(handed).toHaveLength(1);
  });

  it("of a request for a cluster is waited for until there is an answer, and so long after it", async () => {
    send("/clusters/prod/api", "Content-Length: 10");
    await arrived();
    await passes(TIMEOUT_MS * 2);
    expect(socket.destroyed).toBe(false);
    handed[0]?.response?.writeHead(401).end("no");
    await closed();
  });

  it("is not cut when it ends in time, nor is the request behind it", async () => {
    send("/api", "Content-Length: 4");
    socket.write("body");
    await arrived();
    handed[0]?.response?.end("answer");
    await passes(TIMEOUT_MS * 1.5);
    send("/clusters/prod/api", "Content-Length: 0");
    await arrived(2);
    expect(socket.destroyed).toBe(false);
  });
});

describe("an upgrade", () => {
  it("is one for a cluster alone; elsewhere the request is an ordinary one", async () => {
    send("/api", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0");
    await arrived();
    expect(handed[0]).toMatchObject({ to: "others", response: expect.anything() });
    handed[0]?.response?.end();
    send("/clusters/prod/exec", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0");
    await arrived(2);
    expect(handed[1]).toMatchObject({ to: "cluster", response: undefined });
  });
});
