import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "@jest/globals";
import { UpstreamConnection } from "./upstream-connection.ts";
import { AskedRecord, EMPTY, GET, NO_BODY } from "./upstream-fixture.ts";
import { settled, type Wire, WireServer } from "./wire-fixture.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A connection, its peer, and each time that it said it is free. */
async function scene(halfOpen = false) {
  const server = await new WireServer().start();
  ends.push(() => server.close());
  const socket = connect({ host: "127.0.0.1", port: server.port, allowHalfOpen: halfOpen });
  ends.push(() => socket.destroy());
  const freed: UpstreamConnection[] = [];
  const connection = new UpstreamConnection(socket, (free) => freed.push(free));
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { connection, freed, socket, closed, peer: await server.accept() };
}

/** A scene in which a GET was asked, and has come to the peer. */
async function asked(halfOpen = false) {
  const all = await scene(halfOpen);
  const record = new AskedRecord();
  all.connection.ask("GET", GET, NO_BODY, false, record);
  await all.peer.until(GET);
  return { ...all, record };
}

/** One more GET on a connection, answered. */
async function askAgain(connection: UpstreamConnection, peer: Wire): Promise<void> {
  const record = new AskedRecord();
  const before = peer.received.length;
  connection.ask("GET", GET, NO_BODY, false, record);
  await peer.until(before + GET.length);
  expect(peer.text.slice(before)).toBe(GET);
  peer.write("HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\na");
  await record.ended;
  expect([record.told, record.body]).toEqual([["head 202", "end"], "a"]);
}

describe("a request is written", () => {
  const HEAD = "PUT /x HTTP/1.1\r\nX: \xe9\xff\r\n\r\n";

  it.each([
    ["without a body", "", HEAD],
    ["with a body", "body\r\n", `${HEAD}body\r\n`],
    ["with a body of bytes", "\0\xff\x80", `${HEAD}\0\xff\x80`],
  ])("%s byte for byte, one character of the head a byte", async (_what, body, bytes) => {
    const { connection, peer } = await scene();
    connection.ask("PUT", HEAD, Buffer.from(body, "latin1"), false, new AskedRecord());
    expect(await peer.until(bytes.length)).toBe(bytes);
  });

  it("with its pieces as chunks, without the empty ones, and its trailers behind them", async () => {
    const { connection, peer } = await scene();
    connection.ask("PUT", HEAD, undefined, true, new AskedRecord());
    connection.write(NO_BODY);
    connection.write(Buffer.from("hello"));
    connection.write(NO_BODY);
    connection.write(Buffer.alloc(300, "x"));
    connection.end("A: b\r\nC: d\r\n");
    const bytes = `${HEAD}5\r\nhello\r\n12c\r\n${"x".repeat(300)}\r\n0\r\nA: b\r\nC: d\r\n\r\n`;
    expect(await peer.until("C: d\r\n\r\n")).toBe(bytes);
  });

  it("with no chunk and no trailer, as one border", async () => {
    const { connection, peer } = await scene();
    connection.ask("PUT", HEAD, undefined, true, new AskedRecord());
    connection.end("");
    expect(await peer.until("0\r\n\r\n")).toBe(`${HEAD}0\r\n\r\n`);
  });

  it("with its pieces as they are where its length was said", async () => {
    const { connection, peer, freed } = await scene();
    const record = new AskedRecord();
    connection.ask("PUT", HEAD, undefined, false, record);
    connection.write(Buffer.from("one"));
    connection.write(Buffer.from("two"));
    connection.end("");
    expect(await peer.until("two")).toBe(`${HEAD}onetwo`);
    peer.write(EMPTY);
    await record.ended;
    expect(freed).toEqual([connection]);
    expect(peer.text).toBe(`${HEAD}onetwo`);
  });

  it("before the connection was made, and goes when it is", async () => {
    const server = await new WireServer().start();
    ends.push(() => server.close());
    const socket = connect({ host: "127.0.0.1", port: server.port });
    ends.push(() => socket.destroy());
    const connection = new UpstreamConnection(socket, () => {});
    connection.ask("PUT", HEAD, Buffer.from("body"), false, new AskedRecord());
    expect(connection.made).toBe(false);
    const peer = await server.accept();
    expect(await peer.until("body")).toBe(`${HEAD}body`);
    connection.connected();
    expect(connection.made).toBe(true);
  });
});

describe("a connection", () => {
  it("is free when the answer is complete, and carries the next request to the next owner", async () => {
    const { connection, freed, peer, record } = await asked();
    peer.write("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n");
    await record.headed;
    expect(freed).toEqual([]);
    peer.write("\r\n");
    await record.ended;
    expect(freed).toEqual([connection]);
    for (let i = 0; i < 5; i++) await askAgain(connection, peer);
    expect([record.told, record.body]).toEqual([["informational 103", "head 200", "end A b"], "abc"]);
    expect(freed).toHaveLength(6);
    expect(connection.destroyed).toBe(false);
  });

  it("has the method of each request: no body behind the answer to a HEAD, and one behind the next", async () => {
    const { connection, freed, peer } = await scene();
    const record = new AskedRecord();
    connection.ask("HEAD", GET, NO_BODY, false, record);
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    await record.ended;
    expect(freed).toEqual([connection]);
    await peer.until(GET);
    await askAgain(connection, peer);
  });

  it("whose answer comes before the request's end is free when both are there", async () => {
    const { connection, freed, peer } = await scene();
    const record = new AskedRecord();
    connection.ask("PUT", GET, undefined, true, record);
    connection.write(Buffer.from("a"));
    await peer.until("a\r\n");
    peer.write(EMPTY);
    await record.ended;
    expect([freed, connection.destroyed]).toEqual([[], false]);
    connection.write(Buffer.from("b"));
    connection.end("");
    expect(freed).toEqual([connection]);
    expect(await peer.until("0\r\n\r\n")).toBe(`${GET}1\r\na\r\n1\r\nb\r\n0\r\n\r\n`);
    await askAgain(connection, peer);
  });

  it("whose answer came before the request's end may be destroyed: nothing goes out any more", async () => {
    const { connection, freed, peer } = await scene();
    const record = new AskedRecord();
    connection.ask("PUT", GET, undefined, true, record);
    await peer.until(GET);
    peer.write(EMPTY);
    await record.ended;
    connection.destroy();
    expect(connection.write(Buffer.from("late"))).toBe(true);
    await peer.gone;
    expect([peer.text, freed, record.told]).toEqual([GET, [], ["head 200", "end"]]);
  });

  it.each([
    ["Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"],
    [
      "Connection: close, chunked",
      "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
  ])("is closed, and not free, behind an answer with %s", async (_what, answer) => {
    const { freed, peer, closed, record } = await asked();
    peer.write(answer);
    await Promise.all([record.ended, closed, peer.gone]);
    expect([freed, record.told, record.body]).toEqual([[], ["head 200", "end"], "ok"]);
  });

  it("is closed, and not free, behind an answer until the connection's end", async () => {
    const { freed, peer, closed, record } = await asked();
    peer.write("HTTP/1.1 200 OK\r\n\r\nok");
    await record.headed;
    expect(record.told).toEqual(["head 200"]);
    peer.socket.end();
    await Promise.all([record.ended, closed]);
    expect([freed, record.told, record.body]).toEqual([[], ["head 200", "end"], "ok"]);
  });

  it.each([
    ["in the same read", EMPTY, "HTTP/1.1 200 OK\r\n"],
    ["as the answer to nothing", EMPTY, EMPTY],
  ])(
    "is closed, and not free, behind an answer with bytes behind it %s; the answer counts",
    async (_when, answer, more) => {
      const { freed, peer, closed, record } = await asked();
      peer.write(answer + more);
      await closed;
      expect([freed, record.told]).toEqual([[], ["head 200", "end"]]);
    },
  );

  it.each<[string, (peer: Wire) => void]>([
    ["bytes come", (peer) => peer.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")],
    ["its peer ends", (peer) => peer.socket.end()],
    ["its peer dies", (peer) => peer.reset()],
  ])("that is free is closed when %s, also if its owner had paused it, and tells nobody", async (_what, act) => {
    for (const paused of [false, true]) {
      const { connection, freed, peer, closed, record } = await asked();
      if (paused) record.end = () => connection.pause();
      peer.write(EMPTY);
      await settled(() => freed.length);
      expect(freed).toEqual([connection]);
      const told = [...record.told];
      act(peer);
      await closed;
      expect([connection.destroyed, record.told]).toEqual([true, told]);
    }
  });

  it("that was never asked anything is closed when bytes come", async () => {
    const { connection, peer, closed } = await scene();
    peer.write(EMPTY);
    await closed;
    expect(connection.destroyed).toBe(true);
  });
});

describe("an answer fails", () => {
  const STARTS: [string, string, string][] = [
    ["before its head", "", ""],
    ["within its head", "HTTP/1.1 200 OK\r\nContent-", ""],
    ["behind a 1xx", "HTTP/1.1 103 x\r\n\r\n", ""],
    ["within its body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello"],
    ["within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", "hello"],
    ["behind a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello"],
    [
      "within its trailers",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n",
      "hello",
    ],
  ];

  it.each(STARTS)("once, when its peer ends %s", async (_when, start, body) => {
    const { connection, freed, peer, closed, record } = await asked();
    peer.write(start);
    peer.socket.end();
    await closed;
    expect(record.told.filter((what) => !/^(head|informational)/.test(what))).toEqual(["failed"]);
    expect([record.cause?.message, record.body, freed]).toEqual(["closed within the answer", body, []]);
    expect(connection.destroyed).toBe(true);
  });

  it.each([...STARTS, ["within a body without a length", "HTTP/1.1 200 OK\r\n\r\nhello", "hello"]])(
    "once, when its peer dies %s",
    async (_when, start, body) => {
      const { freed, peer, closed, record } = await asked();
      peer.write(start);
      await settled(() => record.told.length + record.body.length);
      peer.reset();
      await closed;
      expect(record.told.filter((what) => !/^(head|informational)/.test(what))).toEqual(["failed"]);
      expect([(record.cause as NodeJS.ErrnoException).code, record.body, freed]).toEqual(["ECONNRESET", body, []]);
    },
  );

  it.each([
    ["is none", "SSH-2.0-x\r\n", "the answer is not HTTP/1.1"],
    ["has two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "more than once"],
    ["has a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk's size"],
  ])("once, when it %s, and its connection is closed", async (_what, answer, sentence) => {
    const { freed, peer, closed, record } = await asked();
    peer.write(answer);
    await Promise.all([closed, peer.gone]);
    expect(record.told.filter((what) => what !== "head 200")).toEqual(["failed"]);
    expect(record.cause?.message).toContain(sentence);
    expect(freed).toEqual([]);
  });

  it("with the network's word when there was never a connection, and was not made then", async () => {
    const connection = new UpstreamConnection(connect({ host: "127.0.0.1", port: 1 }), () => {});
    const record = new AskedRecord();
    connection.ask("GET", GET, NO_BODY, false, record);
    expect(await record.failure).toMatchObject({ code: "ECONNREFUSED" });
    expect([connection.made, record.told]).toEqual([false, ["failed"]]);
  });

  it("and whoever waits to write goes on first, since a closed connection never drains", async () => {
    const { connection, peer } = await scene();
    const record = new AskedRecord();
    connection.ask("PUT", GET, undefined, true, record);
    peer.socket.pause();
    while (connection.write(Buffer.alloc(65_536))) {}
    const order: string[] = [];
    record.drained = () => order.push("drained");
    const { failed } = record;
    record.failed = (cause) => {
      order.push("failed");
      failed.call(record, cause);
    };
    peer.reset();
    await record.failure;
    expect(order).toEqual(["drained", "failed"]);
    expect(connection.write(Buffer.from("late"))).toBe(true);
    connection.end("");
  });

  it("not, when it is complete and the connection dies before the request's end", async () => {
    const { connection, peer, closed } = await scene();
    const record = new AskedRecord();
    connection.ask("PUT", GET, undefined, true, record);
    peer.write(EMPTY);
    await record.ended;
    peer.reset();
    await closed;
    expect(record.told).toEqual(["head 200", "end"]);
  });

  it("not, when its owner destroys the connection: then nothing is told", async () => {
    for (const answer of ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"]) {
      const { connection, peer, closed, record } = await asked();
      peer.write(answer);
      if (answer) await record.headed;
      const told = [...record.told];
      connection.destroy();
      peer.write("world");
      await closed;
      expect([connection.destroyed, record.told]).toEqual([true, told]);
    }
  });

  it("not, when its owner destroys the connection within an answer's event", async () => {
    for (const event of ["informational", "head", "data", "end"] as const) {
      const { connection, freed, peer, closed, record } = await asked();
      const { [event]: tell } = record;
      record[event] = (...all: unknown[]) => {
        (tell as (...all: unknown[]) => void).apply(record, all);
        connection.destroy();
      };
      peer.write("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
      await Promise.all([closed, peer.gone]);
      expect([event, record.told.includes("failed")]).toEqual([event, false]);
      expect([event, freed.every(({ destroyed }) => destroyed)]).toEqual([event, true]);
    }
  });
});

describe("a flow", () => {
  it("is to wait while the peer does not read, and goes on when it does", async () => {
    for (const chunked of [false, true]) {
      const { connection, peer } = await scene();
      const record = new AskedRecord();
      connection.ask("PUT", GET, undefined, chunked, record);
      await peer.until(GET);
      peer.socket.pause();
      let sent = 0;
      const drained = record.nextDrained();
      while (connection.write(Buffer.alloc(65_536, "x"))) sent += 65_536;
      sent += 65_536;
      peer.socket.resume();
      await drained;
      connection.end("");
      const per = chunked ? "10000\r\n\r\n".length : 0;
      await peer.until(GET.length + sent + (sent / 65_536) * per);
    }
  });

  it("of an answer stops while it is paused, and loses nothing", async () => {
    const { connection, peer, record } = await asked();
    const bytes = 24 * 1024 * 1024;
    record.head = () => connection.pause();
    peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`);
    for (let i = 0; i < 24; i++) peer.socket.write(Buffer.alloc(1024 * 1024, "x"));
    let received = 0;
    record.data = (piece) => {
      received += piece.length;
    };
    expect(await settled(() => received)).toBeLessThan(bytes / 8);
    expect(peer.socket.writableLength).toBeGreaterThan(0);
    connection.resume();
    await record.ended;
    expect(received).toBe(bytes);
  });
});

describe("an upgraded connection", () => {
  const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

  async function upgraded() {
    const all = await scene(true);
    const record = new AskedRecord();
    all.connection.ask("GET", GET, undefined, false, record);
    await all.peer.until(GET);
    all.peer.write(`${SWITCH}first`);
    await record.headed;
    return { ...all, record };
  }

  it("carries raw bytes both ways, and each direction ends by itself", async () => {
    const { connection, freed, peer, record, closed } = await upgraded();
    connection.write(Buffer.from("GET /raw HTTP/1.1\r\n\r\n"));
    expect(await peer.until("/raw HTTP/1.1\r\n\r\n")).toBe(`${GET}GET /raw HTTP/1.1\r\n\r\n`);
    peer.socket.end(EMPTY);
    await record.ended;
    expect([record.told, record.body]).toEqual([["head 101", "end"], `first${EMPTY}`]);
    connection.write(Buffer.from("still"));
    connection.halfClose();
    await Promise.all([peer.until("still"), peer.ended, closed]);
    expect(freed).toEqual([]);
  });

  it("goes on to be read when our direction has ended", async () => {
    const { connection, peer, record, closed } = await upgraded();
    connection.halfClose();
    await peer.ended;
    peer.socket.end("last");
    await Promise.all([record.ended, closed]);
    expect([record.told, record.body]).toEqual([["head 101", "end"], "firstlast"]);
  });

  it("that dies has failed once", async () => {
    const { peer, record, closed } = await upgraded();
    peer.reset();
    await closed;
    expect(record.told).toEqual(["head 101", "failed"]);
  });

  it("whose peer ends before the answer has failed once, though it is half-open", async () => {
    const { peer, record, socket } = await asked(true);
    peer.socket.end();
    await record.failure;
    expect(record.told).toEqual(["failed"]);
    await closeOf(socket);
  });
});

/** A half-open connection whose answer failed is its owner's to destroy. */
async function closeOf(socket: Socket): Promise<void> {
  socket.destroy();
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
}
