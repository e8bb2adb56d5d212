import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TokenVerifier } from "@fairlead/authentication";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, GrpcConnection, Hop } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair } from "./apiserver-fixture.ts";
import { Callers } from "./callers.ts";
import { CarryOn } from "./carry-on.ts";
import { ListedServices } from "./forward/listed-services.ts";
import { ServiceForwards } from "./forward/service-forwards.ts";
import { identityProxy } from "./identity-proxy.ts";
import { IssuerFixture } from "./issuer-fixture.ts";
import { LaneServer } from "./lane-server.ts";
import { faultOf, headerLines, Requester } from "./requester-fixture.ts";
import { rightsTo } from "./rights-fixture.ts";

/** How late an exchange may end, in milliseconds, as it is documented. */
const PROMISED_MS = 5_000;

let authority: CertificateAuthority;
let tls: KeyPair;
let issuer: IssuerFixture;
let cluster: ApiserverFixture;
let apiserver: Apiserver;
let server: LaneServer;
let client: GrpcConnection;
let requester: Requester;
let folder: string;

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "server", hosts: ["127.0.0.1"], days: 1 });
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  issuer = await IssuerFixture.start(tls, authority.pem);
  cluster = await ApiserverFixture.start(tls, authority.pem);
  apiserver = new Apiserver({ kubeconfig: await cluster.kubeconfig({ token: "own-token" }), context: undefined });
  const nothing = () => {};
  const log = { debug: nothing, info: nothing, warn: nothing, error: nothing } as unknown as Logger;
  const verifier = new TokenVerifier([issuer.configuration()], Hop.IDENTITY_PROXY);
  const callers = new Callers(verifier);
  const forwards = new ServiceForwards(new ListedServices(), apiserver);
  server = new LaneServer(
    { kind: "unix", path: join(folder, "s", "identity.sock") },
    {
      prepareFor: identityProxy({
        cluster: "prod",
        callers,
        apiserver,
        rights: rightsTo("*"),
        log,
        carryOn: new CarryOn(callers, log),
        forwards,
      }),
    },
  );
  const path = (await server.start()).slice("unix:".length);
  client = new GrpcConnection(() => ({ path }));
  requester = new Requester(client);
  await requester.opened;
});

afterEach(async () => {
  client.close();
  await server.stop(0);
  (await apiserver.connection().catch(() => undefined))?.pool.retire();
  await Promise.all([issuer.close(), cluster.close()]);
  await rm(folder, { recursive: true });
});

/** The expiry, in milliseconds, and the headers of a request whose token has it. */
function expiringIn(seconds: number) {
  const exp = Math.floor(Date.now() / 1_000) + seconds;
  return { atMs: exp * 1_000, headers: headerLines(["Authorization", `Bearer ${issuer.token({ exp })}`]) };
}

function refusal(atMs: number) {
  expect(Date.now()).toBeGreaterThanOrEqual(atMs);
  expect(Date.now() - atMs).toBeLessThan(PROMISED_MS);
  return {
    code: ErrorCode.TOKEN_REFUSED,
    hop: Hop.IDENTITY_PROXY,
    message: expect.stringMatching(/your token expired/),
  };
}

describe("an exchange that outlives its token, with a relay that lets it", () => {
  it("is ended when it is a watch, and so is the apiserver's side of it", async () => {
    const answered = Promise.withResolvers<ServerResponse>();
    cluster.answer = (_seen, response) => {
      response.writeHead(200).write('{"type":"ADDED"}\n');
      answered.resolve(response);
    };
    const { atMs, headers } = expiringIn(2);
    const answer = requester.exchange({ headers, target: "/api/v1/pods?watch=true" });
    const closed = once(await answered.promise, "close");
    const ended = await answer;
    expect(ended).toMatchObject({ status: 200, body: '{"type":"ADDED"}\n' });
    expect(faultOf(ended)).toMatchObject(refusal(atMs));
    await closed;
  });

  it("is ended when it is an exec, and so is the connection to the apiserver", async () => {
    const taken = Promise.withResolvers<Socket>();
    cluster.upgraded = (socket) => {
      socket.on("error", () => {}); // cut
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      taken.resolve(socket);
    };
    const { atMs, headers } = expiringIn(2);
    requester.begin({ headers, upgrade: "websocket", target: "/api/v1/namespaces/ns/pods/p/exec" });
    expect(await requester.headed).toBe(101);
    const closed = once(await taken.promise, "close");
    expect(faultOf(await requester.answer())).toMatchObject(refusal(atMs));
    await closed;
  });

  it("is ended while the apiserver has not answered yet", async () => {
    const asked = Promise.withResolvers<ServerResponse>();
    cluster.answer = (_seen, response) => asked.resolve(response);
    const { atMs, headers } = expiringIn(2);
    const answer = requester.exchange({ headers });
    const closed = once(await asked.promise, "close");
    expect(faultOf(await answer)).toMatchObject(refusal(atMs));
    await closed;
  });

  it("is ended although it was begun by a token that others use as well", async () => {
    cluster.answer = (seen, response) => {
      if (seen.url.includes("watch")) response.writeHead(200).write("{}\n");
      else response.end("{}");
    };
    const { atMs, headers } = expiringIn(2);
    const other = new Requester(client);
    await other.opened;
    const watched = requester.exchange({ headers, target: "/api/v1/pods?watch=true" });
    expect(await other.exchange({ headers })).toMatchObject({ status: 200, error: undefined });
    expect(faultOf(await watched)).toMatchObject(refusal(atMs));
  });
});

describe("an exchange whose token is good", () => {
  it("goes on, also on a lane on which one before it was ended", async () => {
    let response: ServerResponse | undefined;
    cluster.answer = (_seen, answer) => {
      answer.writeHead(200).write("begun ");
      response = answer;
    };
    await requester.exchange({ ...expiringIn(1), target: "/api/v1/pods?watch=true" });
    const answer = requester.exchange({ headers: expiringIn(60).headers });
    expect(await requester.headed).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // two looks at what has expired
    response?.end("and ended");
    expect(await answer).toMatchObject({ status: 200, body: "begun and ended", error: undefined });
  });
});
