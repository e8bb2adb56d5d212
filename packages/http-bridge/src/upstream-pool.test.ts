import { createServer as createTlsServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { ORIGIN_CERT, ORIGIN_KEY } from "./tls-fixture.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import { UpstreamPool } from "./upstream-pool.ts";
import { type Wire, WireServer } from "./wire-fixture.ts";

let origin: WireServer;
let pool: UpstreamPool;

beforeEach(async () => {
  origin = await new WireServer().start();
  pool = new UpstreamPool({ host: "127.0.0.1", port: origin.port });
});
afterEach(async () => {
  pool.retire();
  await origin.close();
});

const HEAD = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NOTHING = new Uint8Array();
const postHead = (framing: string): string => `POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`;

/** A request and what its connection told of it. */
class Asked {
  readonly connection: UpstreamConnection;
  readonly told: string[] = [];
  readonly #done = Promise.withResolvers<string>();
  /** `end`, or what the failure says. Resolves when the connection is back in the pool, if it goes there. */
  readonly done: Promise<string> = this.#done.promise;
  #drained: () => void = () => {};

  /** @param framing the header that says how long the body is, which comes later; none for a GET */
  constructor(connection: UpstreamConnection, framing?: string) {
    this.connection = connection;
    const isGet = framing === undefined;
    const head = isGet ? HEAD : postHead(framing);
    const chunked = framing?.startsWith("Transfer-Encoding") ?? false;
    connection.ask(isGet ? "GET" : "POST", head, isGet ? NOTHING : undefined, chunked, {
      informational: ({ status }) => void this.told.push(String(status)),
      head: ({ status }) => void this.told.push(String(status)),
      data: (bytes) => void this.told.push(bytes.toString()),
      end: (trailers) => {
        this.told.push(`end ${trailers.join()}`);
        setImmediate(() => this.#done.resolve("end"));
      },
      drained: () => this.#drained(),
      failed: (cause) => {
        this.told.push("failed");
        this.#done.resolve(cause.message);
      },
    });
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }
}

async function answered(wire: Wire, answer = OK): Promise<void> {
  wire.received = Buffer.alloc(0);
  wire.write(answer);
}

describe("the pool of connections to the apiserver", () => {
  it("uses a connection again when its answer is over, and one more for what comes meanwhile", async () => {
    const first = new Asked(pool.take());
    const wire = await origin.accept();
    const second = new Asked(pool.take());
    const other = await origin.accept();
    expect(pool.size).toBe(2);
    await wire.head();
    await answered(wire);
    expect([await first.done, first.told]).toEqual(["end", ["200", "ok", "end "]]);
    const third = new Asked(pool.take());
    expect(third.connection).toBe(first.connection);
    await wire.head();
    await answered(wire);
    await other.head();
    await answered(other);
    expect([await third.done, await second.done, origin.wires.length]).toEqual(["end", "end", 2]);
  });

  it.each([
    ["the peer says that it closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
    ["the answer has no length", "HTTP/1.1 200 OK\r\n\r\nok"],
    ["bytes come behind the answer", `${OK}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`],
  ])("does not keep a connection where %s", async (_what, answer) => {
    const asked = new Asked(pool.take());
    const wire = await origin.accept();
    await wire.head();
    wire.write(answer);
    if (!answer.includes("Length")) wire.socket.end();
    expect(await asked.done).toBe("end");
    await wire.gone;
    while (pool.size > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(pool.take()).not.toBe(asked.connection);
  });

  it.each([
    ["ends it", (wire: Wire) => wire.socket.end()],
    ["resets it", (wire: Wire) => wire.reset()],
    ["sends what nobody asked for", (wire: Wire) => wire.write(OK)],
  ])("drops an idle connection when the peer %s", async (_what, act) => {
    const asked = new Asked(pool.take());
    const wire = await origin.accept();
    await wire.head();
    await answered(wire);
    await asked.done;
    act(wire);
    while (pool.size > 0) await new Promise((resolve) => setImmediate(resolve));
    const next = new Asked(pool.take());
    const fresh = await origin.accept();
    await fresh.head();
    await answered(fresh);
    expect(await next.done).toBe("end");
  });

  it("gives an upgrade a connection of its own", async () => {
    const asked = new Asked(pool.take());
    const wire = await origin.accept();
    await wire.head();
    await answered(wire);
    await asked.done;
    expect(pool.open(true)).not.toBe(asked.connection);
    await origin.accept();
    expect(pool.size).toBe(2);
  });

  it("that is retired closes what is idle, and the rest when its answer is over", async () => {
    const idle = new Asked(pool.take());
    const busy = new Asked(pool.take());
    const [one, two] = [await origin.accept(), await origin.accept()];
    const first = await Promise.race([one.head().then(() => one), two.head().then(() => two)]);
    await answered(first);
    await Promise.race([idle.done, busy.done]);
    pool.retire();
    await first.gone;
    const second = first === one ? two : one;
    await second.head();
    await answered(second);
    expect(await Promise.all([idle.done, busy.done])).toEqual(["end", "end"]);
    await second.gone;
    while (pool.size > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it("closes a connection that has been idle for 30 s", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask", "performance", "hrtime"] });
    try {
      pool.retire();
      pool = new UpstreamPool({ host: "127.0.0.1", port: origin.port });
      const asked = new Asked(pool.take());
      const wire = await origin.accept();
      await wire.head();
      await answered(wire);
      await asked.done;
      jest.advanceTimersByTime(15_000);
      expect(asked.connection.destroyed).toBe(false);
      jest.advanceTimersByTime(15_000);
      expect(asked.connection.destroyed).toBe(true);
      await wire.gone;
    } finally {
      jest.useRealTimers();
    }
  });
});

describe("a connection to the apiserver", () => {
  it("fails once, as never made, where nobody listens", async () => {
    const nowhere = new UpstreamPool({ host: "127.0.0.1", port: 1 });
    const asked = new Asked(nowhere.take());
    expect(await asked.done).toMatch(/ECONNREFUSED/);
    expect([asked.connection.made, asked.told]).toEqual([false, ["failed"]]);
    while (nowhere.size > 0) await new Promise((resolve) => setImmediate(resolve));
    nowhere.retire();
  });

  it("is never made to a peer whose certificate is not trusted", async () => {
    const server = await new WireServer(
      createTlsServer({ cert: ORIGIN_CERT, key: ORIGIN_KEY }),
      "secureConnection",
    ).start();
    const { port } = server;
    const distrusting = new UpstreamPool({ host: "127.0.0.1", port, tls: {} });
    const asked = new Asked(distrusting.take());
    expect(await asked.done).toMatch(/certificate/);
    expect(asked.connection.made).toBe(false);
    const trusting = new UpstreamPool({ host: "127.0.0.1", port, tls: { ca: ORIGIN_CERT } });
    const trusted = new Asked(trusting.take());
    let wire = await server.accept();
    if (wire.socket.destroyed) wire = await server.accept();
    await wire.head();
    await answered(wire);
    expect([await trusted.done, trusted.connection.made]).toEqual(["end", true]);
    for (const each of [distrusting, trusting]) each.retire();
    await server.close();
  });

  it("that is lost within the answer fails, once, and the answer has no end", async () => {
    for (const how of ["end", "resetAndDestroy"] as const) {
      const asked = new Asked(pool.take());
      const wire = await origin.accept();
      await wire.head();
      wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
      while (!asked.told.includes("hello")) await new Promise((resolve) => setImmediate(resolve));
      wire.socket[how]();
      expect(await asked.done).toMatch(/closed within the answer|ECONNRESET/);
      expect(asked.told).toEqual(["200", "hello", "failed"]);
      expect(asked.connection.made).toBe(true);
    }
  });

  it("writes a body in chunks, with its trailers, byte for byte", async () => {
    const asked = new Asked(pool.take(), "Transfer-Encoding: chunked");
    const wire = await origin.accept();
    asked.connection.write(Buffer.from("hello"));
    asked.connection.write(NOTHING); // an empty chunk would be the end
    asked.connection.write(Buffer.alloc(16, "x"));
    asked.connection.end("X-Sum: 1\r\n");
    const body = `5\r\nhello\r\n10\r\n${"x".repeat(16)}\r\n0\r\nX-Sum: 1\r\n\r\n`;
    expect(await wire.until("X-Sum: 1\r\n\r\n")).toBe(postHead("Transfer-Encoding: chunked") + body);
    await answered(wire);
    expect(await asked.done).toBe("end");
    expect(new Asked(pool.take()).connection).toBe(asked.connection);
  });

  it("is not used again while its request's body is still to come", async () => {
    const asked = new Asked(pool.take(), "Content-Length: 5");
    const wire = await origin.accept();
    await wire.head();
    await answered(wire);
    expect(await asked.done).toBe("end");
    const other = new Asked(pool.take());
    expect(other.connection).not.toBe(asked.connection);
    asked.connection.write(Buffer.from("hello"));
    asked.connection.end("");
    expect(await wire.until("hello")).toBe("hello");
    while (pool.take() !== asked.connection) await new Promise((resolve) => setImmediate(resolve));
  });

  it("says when it takes no more, and when it does again", async () => {
    const asked = new Asked(pool.take(), "Transfer-Encoding: chunked");
    const wire = await origin.accept();
    await wire.head();
    wire.socket.pause();
    let sent = 0;
    while (asked.connection.write(Buffer.alloc(65_536, "x")) && sent < 64 * 1024 * 1024) sent += 65_536;
    expect(sent).toBeLessThan(64 * 1024 * 1024);
    const drained = asked.drained();
    wire.socket.resume();
    await drained;
    asked.connection.destroy();
    await wire.gone;
  });

  it("that its owner destroyed tells nothing more", async () => {
    const asked = new Asked(pool.take());
    const wire = await origin.accept();
    await wire.head();
    asked.connection.destroy();
    await wire.gone;
    while (pool.size > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(asked.told).toEqual([]);
  });
});
