import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  type ClientHttp2Stream,
  createSecureServer,
  createServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, connect, createServer as createSilentServer, type Socket } from "node:net";
import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { GrpcConnection, type StreamRequest } from "./grpc-connection.ts";
import { Mailbox, settled } from "./lane-fixture.ts";
import { receiveWindows } from "./receive-windows.ts";
import { PEER_CERT, PEER_KEY } from "./tls-fixture.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  jest.useRealTimers();
});

const MIB = 1024 * 1024;
const HEADERS = { ":method": "POST", ":path": "/fairlead.test/Call" };

/** A request for a stream that remembers what it heard. */
class Asked implements StreamRequest {
  readonly headers = HEADERS;
  readonly streams = new Mailbox<ClientHttp2Stream>();
  readonly failures = new Mailbox<Error>();
  heard = 0;

  opened(stream: ClientHttp2Stream): void {
    this.heard++;
    stream.on("error", () => {});
    this.streams.put(stream);
  }
  failed(cause: Error): void {
    this.heard++;
    this.failures.put(cause);
  }
}

/** A node:http2 server on loopback, and a connection to it. */
async function scene() {
  const server = createServer();
  const sessions: ServerHttp2Session[] = [];
  const came = new Mailbox<ServerHttp2Session>();
  const streams = new Mailbox<ServerHttp2Stream>();
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
    came.put(session);
  });
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond();
    streams.put(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(async () => {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const dials = { count: 0 };
  const connection = new GrpcConnection(() => {
    dials.count++;
    return { host: "127.0.0.1", port };
  });
  ends.push(() => connection.close());
  return { connection, dials, sessions, came, streams, port };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Opens a stream, and shows that it is joined to one of the server's. */
async function open({ connection, streams }: Scene): Promise<{ client: ClientHttp2Stream; server: ServerHttp2Stream }> {
  const asked = new Asked();
  connection.request(asked);
  const [client, server] = await Promise.all([asked.streams.take(), streams.take()]);
  expect(server.id).toBe(client.id);
  return { client, server };
}

/** The sockets that this process opens from now on. */
function recordSockets(): Socket[] {
  const sockets: Socket[] = [];
  const onSocket = (message: unknown): void => void sockets.push(Object(message).socket);
  subscribe("net.client.socket", onSocket);
  ends.push(() => unsubscribe("net.client.socket", onSocket));
  return sockets;
}

const closeOf = (what: { closed: boolean; once(event: "close", listener: () => void): unknown }) =>
  new Promise<void>((resolve) => what.once("close", resolve));

describe("a connection for gRPC calls", () => {
  it("is not made before the first call, and is one for all", async () => {
    const all = await scene();
    await new Promise((resolve) => setImmediate(resolve));
    expect([all.dials.count, all.sessions.length]).toEqual([0, 0]);
    const early = Array.from({ length: 20 }, () => new Asked());
    for (const asked of early) all.connection.request(asked);
    await Promise.all(early.map(({ streams }) => streams.take()));
    for (let i = 0; i < 20; i++) await all.streams.take();
    for (let i = 0; i < 5; i++) await open(all);
    expect([all.dials.count, all.sessions.length, early.every(({ heard }) => heard === 1)]).toEqual([1, 1, true]);
  });

  it("opens a stream at once when it is there", async () => {
    const all = await scene();
    await open(all);
    const asked = new Asked();
    all.connection.request(asked);
    expect(asked.streams.size).toBe(1);
  });

  it.each<[string, (session: ServerHttp2Session) => void]>([
    ["was lost", (session) => session.destroy()],
    ["was reset", (session) => (session.socket as Socket).resetAndDestroy()],
    ["was ended by an error", (session) => session.destroy(undefined, 2)],
  ])("is dialled again by the next call after it %s, and by that only", async (_what, lose) => {
    const all = await scene();
    for (let round = 1; round <= 3; round++) {
      const { client } = await open(all);
      const gone = closeOf(client);
      lose(await all.came.take());
      await gone;
      await settled(() => all.dials.count);
      expect([all.dials.count, all.sessions.length]).toEqual([round, round]);
    }
    await open(all);
    expect(all.dials.count).toBe(4);
  });

  it("is dialled again after GOAWAY, while the streams of the one before go on", async () => {
    const all = await scene();
    const first = await open(all);
    (await all.came.take()).close(); // a GOAWAY without an error: the peer drains
    while (!first.client.session?.closed) await new Promise((resolve) => setImmediate(resolve));
    const second = await open(all);
    expect([all.dials.count, second.client.session === first.client.session]).toEqual([2, false]);
    first.server.write("still");
    expect(String(await new Promise((resolve) => first.client.once("data", resolve)))).toBe("still");
    first.client.end();
    first.server.end();
    await closeOf(first.client);
    await open(all); // the end of the one before says nothing about this one
    expect(all.dials.count).toBe(2);
  });

  it("asks for the peer's address anew each time, and passes what that throws to the calls", async () => {
    const { port, sessions } = await scene();
    const addresses = [
      () => {
        throw new Error("the certificate cannot be read");
      },
      () => ({ host: "127.0.0.1", port }),
    ];
    const connection = new GrpcConnection(() => (addresses.shift() ?? (() => ({ path: "/nowhere" })))());
    ends.push(() => connection.close());
    const [first, second] = [new Asked(), new Asked()];
    connection.request(first);
    expect((await first.failures.take()).message).toBe("the certificate cannot be read");
    connection.request(second);
    await second.streams.take();
    expect(sessions).toHaveLength(1);
  });

  it("that cannot be made fails all that wait, once each, with the cause; the next call tries again", async () => {
    let dials = 0;
    const connection = new GrpcConnection(() => {
      dials++;
      return { host: "127.0.0.1", port: 1 };
    });
    ends.push(() => connection.close());
    for (let round = 1; round <= 2; round++) {
      const all = Array.from({ length: 5 }, () => new Asked());
      for (const asked of all) connection.request(asked);
      const causes = await Promise.all(all.map(({ failures }) => failures.take()));
      expect(causes.map((cause) => (cause as NodeJS.ErrnoException).code)).toEqual(Array(5).fill("ECONNREFUSED"));
      expect(new Set(causes).size).toBe(1);
      expect([dials, all.every(({ heard }) => heard === 1)]).toEqual([round, true]);
    }
  });

  it("may be asked again by a call that hears of its failure", async () => {
    let dials = 0;
    const connection = new GrpcConnection(() => ({ path: `/nowhere/${dials++}` }));
    ends.push(() => connection.close());
    const second = new Asked();
    const first = new Asked();
    first.failed = () => connection.request(second);
    connection.request(first);
    expect(await second.failures.take()).toMatchObject({ code: "ENOENT" });
    expect(dials).toBe(2);
  });

  it("that ends before it is HTTP/2 fails what waits", async () => {
    const server = createSilentServer((socket) =>
      socket
        .on("error", () => {})
        .resume()
        .end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const connection = new GrpcConnection(() => ({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }));
    ends.push(() => connection.close());
    const asked = new Asked();
    connection.request(asked);
    const outcome = await Promise.race([asked.failures.take(), asked.streams.take().then(closeOf)]);
    expect(outcome === undefined || outcome instanceof Error).toBe(true);
    expect(asked.heard).toBe(1);
  });
});

describe("a call that waits for its connection", () => {
  it("hears nothing once it is withdrawn, and the others are served", async () => {
    const all = await scene();
    const [gone, kept] = [new Asked(), new Asked()];
    all.connection.request(gone);
    all.connection.request(kept);
    all.connection.withdraw(gone);
    await kept.streams.take();
    await all.streams.take();
    await open(all);
    expect([gone.heard, all.streams.size]).toEqual([0, 0]);
  });

  it("hears nothing of a failure once it is withdrawn", async () => {
    const connection = new GrpcConnection(() => ({ host: "127.0.0.1", port: 1 }));
    ends.push(() => connection.close());
    const [gone, kept] = [new Asked(), new Asked()];
    connection.request(gone);
    connection.request(kept);
    connection.withdraw(gone);
    await kept.failures.take();
    expect(gone.heard).toBe(0);
  });

  it("may be withdrawn when there is nothing to wait for", async () => {
    const all = await scene();
    const asked = new Asked();
    all.connection.withdraw(asked);
    await open(all);
    all.connection.withdraw(asked);
    all.connection.close();
    all.connection.withdraw(asked);
    expect(asked.heard).toBe(0);
  });
});

describe("a connection that its owner closes", () => {
  it("while it is made fails what waits, at whatever moment, once", async () => {
    const all = await scene();
    for (let turns = 0; turns < 12; turns++) {
      for (const microtasks of [0, 1, 2, 3, 5, 8]) {
        const connection = new GrpcConnection(() => ({ host: "127.0.0.1", port: all.port }));
        const asked = [new Asked(), new Asked()];
        for (const each of asked) connection.request(each);
        for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
        for (let i = 0; i < microtasks; i++) await undefined;
        connection.close();
        for (const { failures, streams } of asked) {
          const outcome = await Promise.race([failures.take(), streams.take()]);
          if (outcome instanceof Error) expect(outcome.message).toBe("the connection was closed");
          else outcome.close();
        }
        await new Promise((resolve) => setImmediate(resolve));
        expect([turns, microtasks, ...asked.map(({ heard }) => heard)]).toEqual([turns, microtasks, 1, 1]);
      }
    }
  });

  it("in the moment in which it is there fails what waits", async () => {
    const { connection, sessions } = await scene();
    const add = jest.spyOn(receiveWindows, "add").mockImplementationOnce(() => connection.close());
    ends.push(() => add.mockRestore());
    const asked = [new Asked(), new Asked()];
    for (const each of asked) connection.request(each);
    for (const { failures } of asked) expect((await failures.take()).message).toBe("the connection was closed");
    await settled(() => sessions.filter(({ destroyed }) => destroyed).length);
    expect(sessions.every(({ destroyed }) => destroyed)).toBe(true);
  });

  it("opens no more streams, not even where it was never made", async () => {
    const all = await scene();
    all.connection.close();
    const asked = new Asked();
    all.connection.request(asked);
    expect(asked.heard).toBe(0); // told later: the caller may not be ready to hear
    expect((await asked.failures.take()).message).toBe("the connection was closed");
    expect(all.dials.count).toBe(0);
  });

  it("lets its streams end, for a second at most", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask", "performance"] });
    const all = await scene();
    const [ending, hanging] = [await open(all), await open(all)];
    all.connection.close();
    ending.client.end();
    ending.server.end("last");
    expect(String(await new Promise((resolve) => ending.client.once("data", resolve)))).toBe("last");
    await closeOf(ending.client);
    expect(hanging.client.destroyed).toBe(false);
    const gone = closeOf(hanging.client);
    jest.advanceTimersByTime(1_000);
    await gone;
  });

  it("lets the streams of a peer that drains end for a second at most too", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask", "performance"] });
    const all = await scene();
    const first = await open(all);
    (await all.came.take()).close();
    while (!first.client.session?.closed) await new Promise((resolve) => setImmediate(resolve));
    const second = await open(all);
    all.connection.close();
    const gone = Promise.all([closeOf(first.client), closeOf(second.client)]);
    jest.advanceTimersByTime(1_000);
    await gone;
  });
});

describe("a peer that refuses our certificate", () => {
  it("says so after TLS is there (RFC 8446, 4.4.2.4); the socket is freed nevertheless", async () => {
    const tls = { cert: PEER_CERT, key: PEER_KEY, ca: PEER_CERT };
    const server = createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const sockets = recordSockets();
    const { port } = server.address() as AddressInfo;
    const connection = new GrpcConnection(() => ({ host: "127.0.0.1", port, tls: { ca: PEER_CERT } }));
    ends.push(() => connection.close());
    for (let i = 0; i < 3; i++) {
      const asked = new Asked();
      connection.request(asked);
      const stream = await asked.streams.take();
      await closeOf(stream);
    }
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
  });
});

describe("a connection that was lost before", () => {
  it("is forgotten: closing has to do with those that live", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask", "performance"] });
    const all = await scene();
    for (let i = 0; i < 3; i++) {
      const { client } = await open(all);
      const gone = closeOf(client);
      (await all.came.take()).destroy();
      await gone;
      while (jest.getTimerCount() > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await open(all);
    const before = jest.getTimerCount();
    all.connection.close();
    expect(jest.getTimerCount()).toBe(before + 1);
  });
});

describe("a peer that vanishes without a word", () => {
  /** A peer that answers until it is told to stop, on a raw socket before a real server. */
  async function stoppable() {
    const all = await scene();
    const pairs: { socket: Socket; onward: Socket }[] = [];
    const server = createSilentServer((socket) => {
      const onward = connect(all.port, "127.0.0.1");
      pairs.push({ socket, onward });
      for (const each of [socket, onward]) {
        each.on("error", () => {});
        ends.push(() => each.destroy());
      }
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const connection = new GrpcConnection(() => ({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }));
    ends.push(() => connection.close());
    const vanish = (): void => {
      for (const { socket, onward } of pairs) onward.unpipe(socket);
    };
    const readNothing = (): void => {
      for (const { socket, onward } of pairs) socket.unpipe(onward).pause();
    };
    return { ...all, connection, port: (server.address() as AddressInfo).port, vanish, readNothing };
  }

  const stopClock = () =>
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask", "performance"] });

  it("is dropped when it has not answered a ping for 5 s, and dialled again by the next call", async () => {
    stopClock();
    const all = await stoppable();
    const { client } = await open(all);
    all.vanish();
    const gone = closeOf(client);
    jest.advanceTimersByTime(10_000); // the ping
    expect(client.destroyed).toBe(false);
    jest.advanceTimersByTime(4_999);
    expect(client.destroyed).toBe(false);
    jest.advanceTimersByTime(1);
    await gone;
    await open(all);
  });

  it("is kept when the answer has come in time, and only we were too busy to read it", async () => {
    stopClock();
    const all = await stoppable();
    const { client } = await open(all);
    const answered = Promise.withResolvers<void>();
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    for (const session of all.sessions) {
      session.once("ping", async () => {
        await turn();
        await turn(); // its answer is written
        for (const from = performance.now(); performance.now() - from < 100; ); // and the kernel brings it
        jest.advanceTimersByTime(5_000);
        answered.resolve();
      });
    }
    jest.advanceTimersByTime(10_000);
    await answered.promise;
    for (let i = 0; i < 10; i++) await turn();
    expect(client.destroyed).toBe(false);
    await open(all);
  });

  it("frees its socket too when the peer reads nothing and a write never ends", async () => {
    stopClock();
    const sockets = recordSockets();
    const all = await stoppable();
    const { client } = await open(all);
    const [session] = all.sessions;
    session?.setLocalWindowSize(64 * MIB);
    session?.settings({ initialWindowSize: 64 * MIB });
    await new Promise((resolve) => client.session?.once("remoteSettings", resolve));
    const socket = sockets.find(({ remotePort }) => remotePort === all.port);
    all.readNothing();
    client.write(Buffer.alloc(32 * MIB));
    const gone = closeOf(client);
    jest.advanceTimersByTime(15_000);
    await gone;
    expect(socket?.destroyed).toBe(true);
  });

  it("is not what a peer does that answers: it is kept for as long as it does", async () => {
    stopClock();
    const all = await stoppable();
    const { client, server } = await open(all);
    server.on("data", (bytes: Buffer) => server.write(bytes));
    for (let i = 0; i < 5; i++) {
      jest.advanceTimersByTime(10_000);
      client.write("x"); // what comes back comes behind the ping's answer
      await new Promise((resolve) => client.once("data", resolve));
    }
    expect(client.destroyed).toBe(false);
    await open(all);
  });

  it("leaves no timer behind", async () => {
    stopClock();
    const all = await stoppable();
    const { client } = await open(all);
    const gone = closeOf(client);
    all.vanish();
    jest.advanceTimersByTime(15_000);
    await gone;
    while (jest.getTimerCount() > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});
