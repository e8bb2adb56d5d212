import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { ProofKey, ProofVerifier } from "@fairlead/authentication";
import { headerValues } from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, GrpcConnection, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { LanePool } from "../proxy/lane-pool.ts";
import { TokenRenewal } from "../proxy/token-renewal.ts";
import { RelayFixture, type ServedLane } from "../relay-fixture.ts";
import { ServiceListener } from "./service-listener.ts";
import { ServiceRequests } from "./service-requests.ts";

const TOKEN = "callers.own.token";
const service = { namespace: "shop", name: "web", port: 80 };
const TARGET = "/apis/tunnel.fairlead.dev/v1alpha1/namespaces/shop/services/web:80/portforward";

let relay: RelayFixture;
let pool: LanePool;
let renewal: TokenRenewal;
let requests: ServiceRequests;
let listener: ServiceListener;
let port: number;
let faults: FairleadError[];
let token: () => string;
let sockets: Socket[];

beforeEach(async () => {
  relay = new RelayFixture();
  await relay.start();
  token = () => TOKEN;
  pool = new LanePool(relay.url, () => new GrpcConnection(() => ({ host: "127.0.0.1", port: relay.port })));
  renewal = new TokenRenewal(pool, () => token());
  requests = new ServiceRequests("prod", () => token());
  [faults, sockets] = [[], []];
  listener = newListener();
  port = await listener.start(0);
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  listener.stop();
  renewal.stop();
  pool.close();
  await relay.stop();
});

function newListener(): ServiceListener {
  return new ServiceListener({ service, requests, pool, renewal, failed: (error) => void faults.push(error) });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

async function dial(): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  sockets.push(socket);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** How a connection ends: the error's code; undefined for in good order. */
function endOf(socket: Socket): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let code: string | undefined;
  socket.on("error", (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  socket.on("close", () => resolve(code));
  return promise;
}

/** The lane that a request comes on: one more may have been opened ahead. */
async function laneWithRequest(): Promise<{ lane: ServedLane; head: Awaited<ReturnType<ServedLane["head"]>> }> {
  const lane = await relay.lanes.take();
  return { lane, head: await lane.head() };
}

describe("a connection to the listener", () => {
  it("is asked for by the Service's path, with the caller's own token and nothing of the connection's", async () => {
    const socket = await dial();
    socket.write("GET / HTTP/1.1\r\nAuthorization: secret\r\n\r\n");
    const { head } = await laneWithRequest();
    expect(head).toMatchObject({ cluster: "prod", method: "POST", target: TARGET, upgrade: "tcp.fairlead.dev" });
    expect(head.headers.map(({ name, value }) => `${name}: ${Buffer.from(value)}`)).toEqual([
      `Authorization: Bearer ${TOKEN}`,
    ]);
    expect(head.client).toMatch(/^fairlead\//);
  });

  it("comes with a proof of the key that the token is bound to, for this very request", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = await ProofKey.fromPem(privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    requests = new ServiceRequests("prod", () => token(), key);
    const bound = newListener();
    port = await bound.start(0);
    const socket = await dial();
    const { head } = await laneWithRequest();
    const proofs = headerValues(head.headers, "dpop");
    const asked = { cluster: "prod", method: "POST", target: TARGET, token: TOKEN };
    await expect(new ProofVerifier().verify(proofs, asked, key.thumbprint)).resolves.toBeUndefined();
    const other = { ...asked, target: TARGET.replace("web", "db") };
    await expect(new ProofVerifier().verify(proofs, other, key.thumbprint)).rejects.toThrow();
    socket.destroy();
    bound.stop();
  });

  it("is carried on by a newer token, and so goes on beyond the one that it was begun with", async () => {
    const inSeconds = (seconds: number): string => {
      const exp = Math.floor(Date.now() / 1000) + seconds;
      return `x.${Buffer.from(JSON.stringify({ exp })).toString("base64url")}.y`;
    };
    const [first, newer] = [inSeconds(1), inSeconds(600)];
    token = () => first;
    await dial();
    const { lane, head } = await laneWithRequest();
    lane.begin(101, "tcp.fairlead.dev");
    token = () => newer;
    const carrying = await (await relay.lanes.take()).requests.take();
    expect(carrying).toMatchObject({ case: "credential", value: { exchangeId: head.exchangeId, token: newer } });
  });

  it("is read only once the Service is there, and then carried both ways to each end", async () => {
    const socket = await dial();
    socket.end("ahoy");
    const { lane } = await laneWithRequest();
    expect(lane.requests.size).toBe(0);
    lane.begin(101, "tcp.fairlead.dev");
    expect(await lane.requests.take()).toMatchObject({ case: "data", value: { data: Buffer.from("ahoy") } });
    expect(await lane.requests.take()).toMatchObject({ case: "end" });
    lane.data(0, "aye");
    lane.end(3);
    expect((await buffer(socket)).toString()).toBe("aye");
    expect(faults).toEqual([]);
  });

  it("leaves its lane for the next one", async () => {
    const first = await dial();
    first.end();
    const { lane } = await laneWithRequest();
    lane.begin(101, "tcp.fairlead.dev");
    await lane.requests.take();
    lane.end(0);
    await buffer(first);
    await until(() => pool.counts.idle_lanes === 2);
    await dial();
    expect(await lane.head()).toMatchObject({ target: TARGET });
    expect(relay.opened).toBe(2);
  });

  it("is reset when it is refused, and the refusal is told", async () => {
    const socket = await dial();
    const end = endOf(socket.resume());
    const { lane } = await laneWithRequest();
    const refusal = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "the owner has not listed it");
    lane.lane.sendResponse({ case: "error", value: refusal.toMessage() });
    expect(await end).toBe("ECONNRESET");
    expect(faults).toMatchObject([
      { code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY, message: refusal.message },
    ]);
  });

  it("is reset when there is no token, and that is told", async () => {
    token = () => {
      throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, "there is no token");
    };
    expect(await endOf((await dial()).resume())).toBe("ECONNRESET");
    expect(faults).toMatchObject([{ code: ErrorCode.TOKEN_REFUSED }]);
    expect(pool.counts).toMatchObject({ idle_lanes: expect.any(Number) });
  });

  it("that is reset by its client takes the lane with it, and nobody is told", async () => {
    const socket = await dial();
    const { lane } = await laneWithRequest();
    lane.begin(101, "tcp.fairlead.dev");
    lane.data(0, "x");
    await once(socket, "data");
    socket.resetAndDestroy();
    await lane.closes.take();
    expect(faults).toEqual([]);
  });

  it("is cut when the listener stops, which is told to nobody", async () => {
    const socket = await dial();
    const { lane } = await laneWithRequest();
    lane.begin(101, "tcp.fairlead.dev");
    lane.data(0, "x");
    await once(socket, "data");
    const end = endOf(socket.resume());
    listener.stop();
    pool.close();
    expect(await end).toBe("ECONNRESET");
    expect(faults).toEqual([]);
    expect(await endOf(connect({ port, host: "127.0.0.1" }))).toBe("ECONNREFUSED");
  });
});

describe("a listener", () => {
  it("listens on 127.0.0.1 and on no other address", async () => {
    expect(await endOf(connect({ port, host: "127.0.0.2" }))).toBe("ECONNREFUSED");
    expect(await endOf(connect({ port, host: "::1" }))).toMatch(/ECONNREFUSED|EADDRNOTAVAIL|EAFNOSUPPORT/);
  });

  it("says so when its port is taken", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const taken = (other.address() as AddressInfo).port;
    const says = { code: ErrorCode.ALREADY_EXISTS, message: expect.stringMatching(/is taken; choose another/) };
    await expect(newListener().start(taken)).rejects.toMatchObject(says);
    await new Promise((resolve) => other.close(resolve));
  });
});

describe("asking whether a connection would be made", () => {
  const ask = async (answer: (lane: ServedLane) => void): Promise<void> => {
    const lane = await pool.take(() => false);
    const asked = requests.ask(service, lane);
    asked.catch(() => {});
    const { lane: served, head } = await laneWithRequest();
    expect(head).toMatchObject({ method: "POST", target: TARGET, upgrade: "" });
    answer(served);
    return asked;
  };

  it("is a yes by 204", async () => {
    await expect(ask((lane) => lane.answer("", 204))).resolves.toBeUndefined();
  });

  it("is the refusal of whichever hop refuses", async () => {
    const refusal = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, "your access is read-only");
    const answered = ask((lane) => lane.lane.sendResponse({ case: "error", value: refusal.toMessage() }));
    await expect(answered).rejects.toMatchObject({ code: refusal.code, hop: Hop.RELAY, message: refusal.message });
  });

  it.each<[how: string, answer: (lane: ServedLane) => void]>([
    ["200", (lane) => lane.answer("{}", 200)],
    ["403", (lane) => lane.answer("{}", 403)],
    ["404 in several frames", (lane) => lane.begin(404)],
  ])("is no yes by an apiserver's %s: an older identity proxy has passed it on", async (_how, answer) => {
    const older = { code: ErrorCode.PROTOCOL_VIOLATION, message: expect.stringMatching(/knows no connections/) };
    await expect(ask(answer)).rejects.toMatchObject(older);
  });

  it("is none when the lane is lost", async () => {
    await expect(ask(() => void relay.stop())).rejects.toMatchObject({ code: ErrorCode.CONNECTION_LOST });
  });
});
