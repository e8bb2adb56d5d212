import { describe, expect, it } from "@jest/globals";
import { parse, parseByNode } from "./answer-fixture.ts";
import { CHUNKED, CUTS, counted, GOOD, read } from "./good-answers-fixture.ts";

describe("an answer", () => {
  it.each(GOOD)("$what is read, however it is cut", (good) => {
    const { status = 200, reason = "OK", headers = [], body = "", trailers = [], before = [], untilClose } = good;
    for (const cuts of CUTS) {
      const { informational, ...parsed } = read(good, cuts);
      expect([cuts, parsed]).toEqual([
        cuts,
        {
          head: { status, reason, rawHeaders: headers },
          body,
          trailers,
          keepAlive: good.keepAlive ?? !untilClose,
          fault: undefined,
        },
      ]);
      expect(informational.map((head) => head.status)).toEqual(before);
    }
  });

  it.each(GOOD)("$what is read the same with a cut at any byte", (good) => {
    const whole = read(good);
    for (let at = 1; at < good.bytes.length; at++) {
      expect([at, read(good, [at, good.bytes.length])]).toEqual([at, whole]);
    }
  });

  it.each(GOOD)("$what is not complete before its last byte", ({ method = "GET", bytes, untilClose, body = "" }) => {
    const end = untilClose ? bytes.length - body.length : bytes.length;
    for (let at = 0; at < end; at++) {
      for (const cuts of ["whole", "each byte"] as const) {
        const open = parse(method, bytes.slice(0, at), cuts);
        expect([at, open.trailers, open.fault]).toEqual([at, undefined, undefined]);
        expect([at, parse(method, bytes.slice(0, at), cuts, true).fault]).toEqual([at, "closed within the answer"]);
      }
    }
  });

  it.each(GOOD)("$what is what node's own client reads", async (good) => {
    const node = await parseByNode(good.method ?? "GET", good.bytes);
    expect({ ...node, keepAlive: undefined }).toEqual({ ...read(good), keepAlive: undefined });
  });

  it.each(GOOD.filter(({ untilClose }) => !untilClose))("$what may have no byte behind it", (good) => {
    const clean = read(good);
    for (const garbage of ["\0", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]) {
      for (const cuts of CUTS) {
        const parsed = read({ ...good, bytes: good.bytes + garbage }, cuts);
        expect(parsed).toEqual({ ...clean, fault: "bytes came behind the answer" });
      }
    }
  });

  it.each(["5 ", "5\t ", "5 ;a", "5;", "5; a", '5;"', "5;a=\xe9", "5;a=b;;"])("may have the chunk line %j", (line) => {
    expect(parse("GET", `${CHUNKED}${line}\r\nhello\r\n0\r\n\r\n`)).toMatchObject({ body: "hello", trailers: [] });
  });

  it("takes nothing more in, and ends in good order, once it is over", () => {
    expect(parse("GET", counted("1", "a").bytes, "whole", true).fault).toBeUndefined();
  });

  it("gives a body as it comes, and does not wait for the rest", () => {
    expect(parse("GET", counted("5", "he").bytes.replace("2", "5"))).toMatchObject({ body: "he", trailers: undefined });
    expect(parse("GET", `${CHUNKED}5\r\nhe`)).toMatchObject({ body: "he", trailers: undefined });
    expect(parse("GET", "HTTP/1.1 200 OK\r\n\r\nhe")).toMatchObject({ body: "he", trailers: undefined });
  });
});

describe("an answer that switches protocols", () => {
  const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

  it.each([
    ["nothing", ""],
    ["bytes", "\x81\x02hi\0\xff"],
    ["what looks like an answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["what looks like a chunk", "0\r\n\r\n0\r\n\r\n"],
  ])("has %s behind it as they came, and never frees its connection", async (_what, raw) => {
    for (const cuts of CUTS) {
      const parsed = parse("GET", SWITCH + raw, cuts);
      expect(parsed).toMatchObject({ head: { status: 101 }, body: raw, trailers: undefined, keepAlive: false });
      expect(parse("GET", SWITCH + raw, cuts, true)).toEqual({ ...parsed, trailers: [] });
    }
    expect(await parseByNode("GET", SWITCH + raw)).toMatchObject({ head: { status: 101 }, body: raw });
  });

  it("has no length, whatever it says", () => {
    const headers = "Content-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked";
    const parsed = parse("GET", `HTTP/1.1 101 x\r\n${headers}\r\n\r\nabc`);
    expect(parsed).toMatchObject({ head: { status: 101 }, body: "abc", fault: undefined });
  });

  it("may come behind a 1xx", () => {
    const parsed = parse("GET", `HTTP/1.1 100 Continue\r\n\r\n${SWITCH}raw`);
    expect(parsed).toMatchObject({ informational: [{ status: 100 }], head: { status: 101 }, body: "raw" });
  });
});
