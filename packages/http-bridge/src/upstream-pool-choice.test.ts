import { createServer, type Server } from "node:net";
import { type ConnectionOptions, createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { ORIGIN_CERT, ORIGIN_KEY } from "./tls-fixture.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import { AskedRecord, EMPTY, GET, NO_BODY } from "./upstream-fixture.ts";
import { UpstreamPool } from "./upstream-pool.ts";
import { settled, type Wire, WireServer } from "./wire-fixture.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  jest.useRealTimers();
});

/** Stops the clock of timers and of `Date`; sockets go on by themselves. */
function stopClock(): void {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask", "performance"] });
}

async function scene(tls?: ConnectionOptions, server?: Server, host = "127.0.0.1") {
  const origin = await (server ? new WireServer(server, "secureConnection") : new WireServer()).start();
  ends.push(() => origin.close());
  const pool = new UpstreamPool({ host, port: origin.port, ...(tls && { tls }) });
  ends.push(() => pool.retire());
  return { origin, pool };
}

/** A request under way: it has come to its peer. */
interface Asked {
  connection: UpstreamConnection;
  wire: Wire;
  record: AskedRecord;
}

/** Asks on what the pool gives; it has to be a new connection. */
async function askAnew(pool: UpstreamPool, origin: WireServer): Promise<Asked> {
  const connection = pool.take();
  const record = new AskedRecord();
  connection.ask("GET", GET, NO_BODY, false, record);
  const wire = await origin.accept();
  await wire.until(GET);
  return { connection, wire, record };
}

async function answer({ wire, record }: Asked, bytes = EMPTY): Promise<void> {
  wire.write(bytes);
  await record.ended;
}

/** Connections that are idle, the last one last. */
async function idle(pool: UpstreamPool, origin: WireServer, count: number): Promise<Asked[]> {
  const all: Asked[] = [];
  for (let i = 0; i < count; i++) all.push(await askAnew(pool, origin));
  for (const each of all) await answer(each);
  return all;
}

describe("a pool", () => {
  it("gives the connection that was used last, and a new one when all are in use", async () => {
    const { pool, origin } = await scene();
    const [a, b, c] = [await askAnew(pool, origin), await askAnew(pool, origin), await askAnew(pool, origin)] as const;
    for (const each of [b, a, c]) await answer(each);
    expect(pool.size).toBe(3);
    for (const expected of [c, a, b]) expect(pool.take()).toBe(expected.connection);
    const { connection } = await askAnew(pool, origin);
    expect([a, b, c].some((each) => each.connection === connection)).toBe(false);
    expect(pool.size).toBe(4);
  });

  it("carries a hundred requests, one after the other, on one connection", async () => {
    const { pool, origin } = await scene();
    const [first] = await idle(pool, origin, 1);
    for (let i = 1; i <= 100; i++) {
      const connection = pool.take();
      expect(connection).toBe(first?.connection);
      const record = new AskedRecord();
      connection.ask("GET", GET, NO_BODY, false, record);
      await first?.wire.until(GET.length * (i + 1));
      first?.wire.write(EMPTY);
      await record.ended;
    }
    expect([origin.wires.length, pool.size]).toEqual([1, 1]);
  });

  it.each<[string, (wire: Wire) => void]>([
    ["whose peer has closed it", (wire) => void wire.socket.end()],
    ["whose peer has died", (wire) => wire.reset()],
    ["whose peer sent bytes that answer nothing", (wire) => wire.write("HTTP/1.1 408 x\r\nContent-Length: 0\r\n\r\n")],
    ["whose peer sent one byte", (wire) => wire.write("H")],
  ])("does not give an idle connection %s", async (_what, act) => {
    const { pool, origin } = await scene();
    const [kept, ...stale] = await idle(pool, origin, 3);
    for (const { wire } of stale) act(wire);
    await Promise.all(stale.map(({ wire }) => wire.gone));
    await settled(() => pool.size);
    expect(pool.size).toBe(1);
    expect(pool.take()).toBe(kept?.connection);
    const next = await askAnew(pool, origin);
    expect(stale.some(({ connection }) => connection === next.connection)).toBe(false);
    await answer(next);
  });

  it.each([
    ["Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["bytes behind it", `${EMPTY}HTTP/1.1 200 OK\r\n`],
  ])("does not keep a connection behind an answer with %s", async (_what, bytes) => {
    const { pool, origin } = await scene();
    const asked = await askAnew(pool, origin);
    await answer(asked, bytes);
    await asked.wire.gone;
    await settled(() => pool.size);
    expect([pool.size, asked.connection.destroyed]).toEqual([0, true]);
    await answer(await askAnew(pool, origin));
  });

  it("does not give a connection that its owner destroyed in the answer's last event", async () => {
    const { pool, origin } = await scene();
    const asked = await askAnew(pool, origin);
    asked.record.end = () => asked.connection.destroy();
    asked.wire.write(EMPTY);
    await asked.wire.gone;
    const next = await askAnew(pool, origin);
    expect(next.connection).not.toBe(asked.connection);
    expect(pool.size).toBe(1);
  });

  it("opens a new connection for an upgrade, however many are idle, and half-open if it is to be", async () => {
    const { pool, origin } = await scene();
    await idle(pool, origin, 2);
    const connection = pool.open(true);
    const record = new AskedRecord();
    connection.ask("GET", GET, undefined, false, record);
    const wire = await origin.accept();
    wire.socket.end("HTTP/1.1 101 x\r\n\r\n");
    await record.ended;
    connection.write(Buffer.from("outlives"));
    connection.halfClose();
    await Promise.all([wire.until("outlives"), wire.ended]);
    await settled(() => pool.size);
    expect(pool.size).toBe(2);
  });

  it("keeps 256 idle connections and no more", async () => {
    const { pool, origin } = await scene();
    const all = await idle(pool, origin, 260);
    await Promise.all(all.slice(256).map(({ wire }) => wire.gone));
    await settled(() => pool.size);
    expect(pool.size).toBe(256);
    expect(all.slice(0, 256).some(({ connection }) => connection.destroyed)).toBe(false);
    expect(pool.take()).toBe(all[255]?.connection);
  });

  it("closes what was idle for long, and not what is in use or was used just now", async () => {
    stopClock();
    const { pool, origin } = await scene();
    const [old, busy, young] = await idle(pool, origin, 3);
    const used = (): UpstreamConnection[] => [pool.take(), pool.take()];
    expect(used()).toEqual([young?.connection, busy?.connection]);
    const record = new AskedRecord();
    young?.connection.ask("GET", GET, NO_BODY, false, record);
    await young?.wire.until(GET.length * 2);
    jest.advanceTimersByTime(20_000);
    expect(old?.connection.destroyed).toBe(false);
    young?.wire.write(EMPTY);
    await record.ended;
    jest.advanceTimersByTime(15_000);
    expect([old, busy, young].map((each) => each?.connection.destroyed)).toEqual([true, false, false]);
    expect(pool.take()).toBe(young?.connection);
    jest.advanceTimersByTime(100_000);
    expect([busy, young].map((each) => each?.connection.destroyed)).toEqual([false, false]);
  });
});

describe("a pool that is retired", () => {
  it("closes what is idle at once, and what is in use behind its answer", async () => {
    const { pool, origin } = await scene();
    const idleOnes = await idle(pool, origin, 3);
    const busy = { ...(idleOnes.pop() as Asked), record: new AskedRecord() };
    expect(pool.take()).toBe(busy.connection);
    busy.connection.ask("GET", GET, NO_BODY, false, busy.record);
    pool.retire();
    await Promise.all(idleOnes.map(({ wire }) => wire.gone));
    expect(busy.connection.destroyed).toBe(false);
    await answer(busy);
    expect(busy.record.told).toEqual(["head 200", "end"]);
    await busy.wire.gone;
    await settled(() => pool.size);
    expect(pool.size).toBe(0);
  });

  it("serves who still comes, and keeps nothing; it has no timer left, and may be retired again", async () => {
    stopClock();
    const { pool, origin } = await scene();
    expect(jest.getTimerCount()).toBe(1);
    pool.retire();
    pool.retire();
    const late = await askAnew(pool, origin);
    await answer(late);
    await late.wire.gone;
    expect(late.connection.destroyed).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });
});

/** A TLS server on loopback, with what it was asked for. */
function tlsServer(options: TlsOptions = {}): Server {
  const server = createTlsServer({ cert: ORIGIN_CERT, key: ORIGIN_KEY, allowHalfOpen: true, ...options });
  server.on("tlsClientError", () => {});
  server.on("connection", (socket) => ends.push(() => socket.destroy())); // what fails is no secure connection
  return server;
}

/** A request that is to fail, and whether anything of it came to the peer. */
async function askToFail(
  pool: UpstreamPool,
): Promise<{ connection: UpstreamConnection; cause: Error; told: string[] }> {
  const connection = pool.take();
  const record = new AskedRecord();
  connection.ask("GET", GET, NO_BODY, false, record);
  return { connection, cause: await record.failure, told: record.told };
}

describe("a connection that cannot be made", () => {
  it("because nobody listens fails as not made, and is gone from the pool", async () => {
    const pool = new UpstreamPool({ host: "127.0.0.1", port: 1 });
    ends.push(() => pool.retire());
    const { connection, cause, told } = await askToFail(pool);
    expect(cause).toMatchObject({ code: "ECONNREFUSED" });
    expect([connection.made, told]).toEqual([false, ["failed"]]);
    await settled(() => pool.size);
    expect(pool.size).toBe(0);
  });

  it("because TLS is never answered fails after 4 s as not made", async () => {
    const silent = createServer();
    const { promise: came, resolve } = Promise.withResolvers<void>();
    silent.on("connection", (socket) => {
      ends.push(() => socket.destroy());
      socket.on("error", () => {});
      socket.once("data", () => resolve()); // the ClientHello
    });
    await new Promise<void>((listening) => silent.listen(0, "127.0.0.1", listening));
    ends.push(() => silent.close());
    stopClock();
    const pool = new UpstreamPool({ host: "127.0.0.1", port: (silent.address() as { port: number }).port, tls: {} });
    ends.push(() => pool.retire());
    const asked = askToFail(pool);
    await came;
    jest.advanceTimersByTime(3_999);
    expect(pool.size).toBe(1);
    jest.advanceTimersByTime(1);
    const { connection, cause, told } = await asked;
    expect([connection.made, cause.message, told]).toEqual([false, "no connection within 4 s", ["failed"]]);
    expect(jest.getTimerCount()).toBe(1);
  });

  it("leaves no timer when it was made, or failed before", async () => {
    stopClock();
    const { pool, origin } = await scene();
    const asked = await askAnew(pool, origin);
    expect([asked.connection.made, jest.getTimerCount()]).toEqual([true, 1]);
    jest.advanceTimersByTime(60_000);
    await answer(asked);
    const nowhere = new UpstreamPool({ host: "127.0.0.1", port: 1 });
    ends.push(() => nowhere.retire());
    await askToFail(nowhere);
    while (nowhere.size > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(jest.getTimerCount()).toBe(2);
  });

  it.each<[string, ConnectionOptions, TlsOptions, string, string]>([
    ["of an authority that is not trusted", {}, {}, "127.0.0.1", "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["of another authority", { ca: [] }, {}, "127.0.0.1", "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["of another host", { ca: ORIGIN_CERT }, {}, "localhost", "ERR_TLS_CERT_ALTNAME_INVALID"],
    [
      "of another name that is asked for",
      { ca: ORIGIN_CERT, servername: "x.test" },
      {},
      "127.0.0.1",
      "ERR_TLS_CERT_ALTNAME_INVALID",
    ],
    ["not trusted, over TLS 1.2", {}, { maxVersion: "TLSv1.2" }, "127.0.0.1", "DEPTH_ZERO_SELF_SIGNED_CERT"],
  ])(
    "because of a certificate %s fails as not made, and shows the peer nothing",
    async (_what, tls, options, host, code) => {
      const { origin, pool } = await scene(tls, tlsServer(options), host);
      const { connection, cause, told } = await askToFail(pool);
      expect(cause).toMatchObject({ code });
      expect([connection.made, told]).toEqual([false, ["failed"]]);
      await settled(() => origin.wires.reduce((sum, wire) => sum + wire.received.length, pool.size));
      expect([pool.size, origin.wires.map(({ text }) => text).join("")]).toEqual([0, ""]);
    },
  );

  it("because the peer asks for a certificate that we do not have fails", async () => {
    const { origin, pool } = await scene({ ca: ORIGIN_CERT }, tlsServer({ requestCert: true, ca: ORIGIN_CERT }));
    expect((await askToFail(pool)).told).toEqual(["failed"]);
    expect(origin.wires).toEqual([]);
  });
});

describe("a connection over TLS", () => {
  it("is made when it is verified, speaks HTTP/1.1 by ALPN, and takes the session of the last one up", async () => {
    const { origin, pool } = await scene({ ca: ORIGIN_CERT }, tlsServer({ ALPNProtocols: ["h2", "http/1.1"] }));
    const first = await askAnew(pool, origin);
    await answer(first, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    const second = await askAnew(pool, origin);
    const sockets = [first, second].map(({ wire }) => wire.socket as TLSSocket);
    expect(sockets.map(({ alpnProtocol }) => alpnProtocol)).toEqual(["http/1.1", "http/1.1"]);
    expect(sockets.map((socket) => socket.isSessionReused())).toEqual([false, true]);
    expect([first.connection.made, second.connection.made]).toEqual([true, true]);
    await answer(second);
    expect(pool.take()).toBe(second.connection);
  });

  it.each([
    ["no server name for an IP address", "127.0.0.1", false],
    ["the server name for a host", "localhost", "localhost"],
  ])("shows %s", async (_what, host, name) => {
    const tls = { ca: ORIGIN_CERT, checkServerIdentity: () => undefined };
    const warnings: Error[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning);
    process.on("warning", onWarning);
    ends.push(() => process.off("warning", onWarning));
    const { origin, pool } = await scene(tls, tlsServer(), host);
    const { wire } = await askAnew(pool, origin);
    expect((wire.socket as TLSSocket & { servername: unknown }).servername).toBe(name);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  });

  it("that dies has failed once, and was made", async () => {
    const sockets: { destroy(): void; write(text: string): void }[] = [];
    const server = tlsServer();
    server.on("connection", (socket) => sockets.push(socket));
    const { origin, pool } = await scene({ ca: ORIGIN_CERT }, server);
    const { connection, record } = await askAnew(pool, origin);
    expect(sockets).toHaveLength(1);
    sockets[0]?.destroy();
    await record.failure;
    expect([connection.made, record.told]).toEqual([true, ["failed"]]);
  });
});

describe("an idle connection over TLS", () => {
  it("is not given when its peer has ended it", async () => {
    const { origin, pool } = await scene({ ca: ORIGIN_CERT }, tlsServer());
    const [only] = await idle(pool, origin, 1);
    only?.wire.socket.end();
    await only?.wire.closed;
    await settled(() => pool.size);
    expect(pool.size).toBe(0);
    expect((await askAnew(pool, origin)).connection).not.toBe(only?.connection);
  });
});
