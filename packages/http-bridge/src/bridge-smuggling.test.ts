import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Bridge, type HeadInit, type OpenLane } from "./bridge-fixture.ts";
import { seeded, settled, Wire, WireServer } from "./wire-fixture.ts";

/** What must never come to the origin as a request of its own: it would carry no impersonation headers. */
const EVIL = "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function scene(): Promise<{ bridge: Bridge; origin: WireServer; lane: OpenLane }> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  const bridge = await Bridge.start({ origin: origin.port });
  ends.push(() => bridge.close());
  return { bridge, origin, lane: await bridge.openLane() };
}

/** A clean exchange on a lane of its own: shows that the serving end lives, and that no kept connection is spoilt. */
async function nextIsClean(bridge: Bridge, origin: WireServer): Promise<void> {
  const lane = await bridge.openLane();
  const before = origin.wires.length;
  const earlier = origin.wires.map(({ text }) => text);
  lane.sendWhole({ target: "/clean" });
  const wire = await origin.accept();
  expect(await wire.until("\r\n\r\n")).toMatch(/^GET \/clean HTTP\/1\.1\r\n/);
  expect(origin.wires).toHaveLength(before + 1);
  expect(origin.wires.slice(0, -1).map(({ text }) => text)).toEqual(earlier);
  wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect(await lane.frame()).toMatchObject({ case: "whole", value: { head: { status: 200 } } });
}

const POST: HeadInit = { method: "POST", target: "/pods" };
const malformed = { case: "error", value: { code: ErrorCode.MALFORMED_REQUEST, hop: Hop.IDENTITY_PROXY } };

describe("a Content-Length that is not the body's", () => {
  it.each([
    ["longer body", (lane: OpenLane) => lane.sendData(`body${EVIL}`), ""],
    [
      "body that gets longer in its second piece",
      (lane: OpenLane) => {
        lane.sendData("body");
        lane.sendData(EVIL, 4);
      },
      "body",
    ],
    [
      "body that gets longer in its end",
      (lane: OpenLane) => {
        lane.sendData("body");
        lane.sendEnd(4, EVIL);
      },
      "body",
    ],
  ])("announced too short, with a %s: nothing beyond it reaches the origin", async (_what, send, reaches) => {
    const { bridge, origin, lane } = await scene();
    lane.sendHead({ ...POST, headers: [["Content-Length", "4"]] });
    const wire = await origin.accept();
    await wire.head();
    send(lane);
    expect(await lane.frame()).toMatchObject(malformed);
    await wire.gone;
    expect(wire.text.split("\r\n\r\n").slice(1)).toEqual([reaches]);
    await nextIsClean(bridge, origin);
  });

  it.each([
    ["an end", (lane: OpenLane) => lane.sendEnd(4)],
    ["an end that is still too short", (lane: OpenLane) => lane.sendEnd(4, "xx")],
  ])(
    "announced too long, by %s: the origin's connection is closed, so that it waits for nothing",
    async (_what, end) => {
      const { bridge, origin, lane } = await scene();
      lane.sendHead({ ...POST, headers: [["content-length", "400"]] });
      const wire = await origin.accept();
      lane.sendData("body");
      await wire.until("\r\n\r\nbody");
      end(lane);
      expect(await lane.frame()).toMatchObject(malformed);
      await wire.gone;
      await nextIsClean(bridge, origin);
    },
  );

  it.each([
    ["too short", "4"],
    ["too long", "400"],
    ["0", "0"],
  ])("%s, in one message: the origin sees nothing", async (_what, length) => {
    const { bridge, origin, lane } = await scene();
    lane.sendWhole({ ...POST, headers: [["Content-Length", length]] }, `body${EVIL}`);
    expect(await lane.frame()).toMatchObject(malformed);
    await lane.idle; // the request had ended: the lane lives on
    await nextIsClean(bridge, origin);
    expect(origin.wires).toHaveLength(1);
  });

  it("in one message with trailers is refused as well", async () => {
    const { bridge, origin, lane } = await scene();
    lane.sendWhole({ ...POST, headers: [["Content-Length", "4"]] }, `body${EVIL}`, [["X-Sum", "1"]]);
    expect(await lane.frame()).toMatchObject(malformed);
    await nextIsClean(bridge, origin);
    expect(origin.wires).toHaveLength(1);
  });

  it.each([
    [
      [
        ["Content-Length", "4"],
        ["Content-Length", "40"],
      ],
    ],
    [
      [
        ["Content-Length", "4"],
        ["content-length", "4"],
      ],
    ],
    [[["Content-Length", "4, 40"]]],
    [[["Content-Length", "+4"]]],
    [[["Content-Length", "4 "]]],
    [[["Content-Length", "0x4"]]],
    [[["Content-Length", ""]]],
  ] as [[string, string][]][])("of more or less than one number is refused: %j", async (headers) => {
    const { bridge, origin, lane } = await scene();
    lane.sendHead({ ...POST, headers });
    expect(await lane.frame()).toMatchObject(malformed);
    const again = await bridge.openLane();
    again.sendWhole({ ...POST, headers }, "body");
    expect(await again.frame()).toMatchObject(malformed);
    await nextIsClean(bridge, origin);
    expect(origin.wires).toHaveLength(1);
  });
});

describe("a Transfer-Encoding in a frame", () => {
  it("beside a Content-Length is left out, and the body is held to the length", async () => {
    const { bridge, origin, lane } = await scene();
    const headers: [string, string][] = [
      ["Content-Length", "4"],
      ["Transfer-Encoding", "chunked"],
    ];
    lane.sendHead({ ...POST, headers });
    const wire = await origin.accept();
    expect(await wire.head()).not.toContain("ransfer");
    lane.sendData(`0\r\n\r\n${EVIL}`);
    expect(await lane.frame()).toMatchObject(malformed);
    await wire.gone;
    expect(wire.text).not.toContain("evil");
    await nextIsClean(bridge, origin);
  });

  it("alone is left out, and the body is chunked by this end", async () => {
    const { origin, lane } = await scene();
    lane.sendHead({ ...POST, headers: [["transfer-encoding", "identity"]] });
    const wire = await origin.accept();
    lane.sendData(`0\r\n\r\n${EVIL}`);
    lane.sendEnd(5 + EVIL.length);
    const length = (5 + EVIL.length).toString(16);
    const text = await wire.until(`${EVIL}\r\n0\r\n\r\n`);
    expect(text).toContain("Transfer-Encoding: chunked\r\n");
    expect(text.split("\r\n\r\n").slice(1).join("\r\n\r\n")).toBe(`${length}\r\n0\r\n\r\n${EVIL}\r\n0\r\n\r\n`);
  });

  it.each(["GET", "DELETE", "HEAD", "OPTIONS"])("is this end's own for a %s with a body too", async (method) => {
    const { origin, lane } = await scene();
    lane.sendHead({ method, target: "/x" });
    const wire = await origin.accept();
    expect(await wire.head()).toContain("Transfer-Encoding: chunked");
    lane.sendData(EVIL);
    lane.sendEnd(EVIL.length);
    expect(await wire.until("\r\n0\r\n\r\n")).toContain(`\r\n\r\n${EVIL.length.toString(16)}\r\n${EVIL}\r\n0\r\n\r\n`);
  });

  it("that Connection names, or Content-Length that it names, changes nothing", async () => {
    const { origin, lane } = await scene();
    lane.sendHead({
      ...POST,
      headers: [
        ["Connection", "Content-Length, Host, close"],
        ["Content-Length", "4"],
      ],
    });
    const wire = await origin.accept();
    const head = await wire.head();
    expect(head).toMatch(/\r\nHost: 127\.0\.0\.1:\d+\r\n/);
    expect(head).toContain("\r\nContent-Length: 4");
    expect(head).not.toMatch(/^Connection:/im);
    lane.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "over"));
  });
});

describe("a head that is not one clean HTTP/1.1 request", () => {
  it.each([
    ["the method CONNECT", { method: "CONNECT", target: "/evil:443" }],
    ["a method with a blank", { method: "GET /evil HTTP/1.1\r\nX:" }],
    ["a method in lower case", { method: "get" }],
    ["no method", { method: "" }],
    ["an absolute target", { target: "http://evil/" }],
    ["an authority as target", { target: "evil:443" }],
    ["no target", { target: "" }],
    ["a target with a blank", { target: "/x HTTP/1.1\r\nX: y\r\n\r\n" }],
    ["a target with CR LF", { target: "/x\r\nImpersonate-User: evil" }],
    ["a target with LF", { target: "/x\nX: y" }],
    ["a target with NUL", { target: "/x\0" }],
    ["a target with a backslash", { target: "/\\evil" }],
    ["a target beyond ASCII", { target: "/\u010d\u010a" }],
    ["the upgrade h2c", { upgrade: "h2c", headers: [["HTTP2-Settings", "AAMAAABk"]] }],
    ["an upgrade list with h2c", { upgrade: "websocket, h2c" }],
    ["an upgrade with CR LF", { upgrade: "websocket\r\nX: y" }],
  ] as [string, HeadInit][])("for %s is refused, whole or not, and the origin sees nothing", async (_what, init) => {
    const { bridge, origin, lane } = await scene();
    lane.sendHead(init);
    expect(await lane.frame()).toMatchObject(malformed);
    if (!init.upgrade) {
      const again = await bridge.openLane();
      again.sendWhole(init);
      expect(await again.frame()).toMatchObject(malformed);
    }
    await nextIsClean(bridge, origin);
    expect(origin.wires).toHaveLength(1);
  });

  it.each([
    ["a value with CR LF", ["X", "a\r\nImpersonate-User: evil"]],
    ["a value with LF", ["X", "a\nX-Y: b"]],
    ["a value with CR", ["X", "a\rX-Y: b"]],
    ["a value with NUL", ["X", "a\0"]],
    ["a name with CR LF", ["X: y\r\nImpersonate-User", "evil"]],
    ["a name with a colon", ["X: y", "z"]],
    ["a name with a blank before its colon", ["Transfer-Encoding ", "chunked"]],
    ["a folded line", ["X", "a\r\n b"]],
    ["no name", ["", "x"]],
  ] as [string, [string, string]][])(
    "for a header of %s is refused, whole or not, and the origin sees nothing",
    async (_what, header) => {
      const { bridge, origin, lane } = await scene();
      const violation = { case: "error", value: { code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.IDENTITY_PROXY } };
      lane.sendWhole({ headers: [header] });
      expect(await lane.frame()).toMatchObject(violation);
      for (const upgrade of ["", "websocket"]) {
        const again = await bridge.openLane();
        again.sendHead({ ...POST, headers: [header], upgrade });
        expect(await again.frame()).toMatchObject(violation);
      }
      await nextIsClean(bridge, origin);
      expect(origin.wires).toHaveLength(1);
    },
  );

  it("for a trailer of two lines is refused, and the origin's connection is closed", async () => {
    const { bridge, origin, lane } = await scene();
    lane.sendWhole(POST, "body", [["X", "a\r\n\r\nGET /evil HTTP/1.1"]]);
    expect(await lane.frame()).toMatchObject({ case: "error" });
    await settled(() => origin.wires.length);
    expect(origin.wires.map(({ text }) => text).join()).not.toContain("evil");
    await nextIsClean(bridge, origin);
  });
});

describe("frames of a body that do not join", () => {
  it.each([
    ["a gap", 5],
    ["a repeat", 3],
  ])("by %s end the exchange and the origin's connection", async (_what, offset) => {
    const { bridge, origin, lane } = await scene();
    lane.sendHead(POST);
    lane.sendData("body");
    const wire = await origin.accept();
    await wire.until("body");
    lane.sendData("more", offset);
    expect(await lane.frame()).toMatchObject({ case: "error", value: { code: ErrorCode.PROTOCOL_VIOLATION } });
    await wire.gone;
    expect(wire.text).not.toContain("more");
    await nextIsClean(bridge, origin);
  });
});

describe("what comes after an answer", () => {
  it("that came before the request's end never goes to the origin", async () => {
    const { bridge, origin, lane } = await scene();
    lane.sendHead({ ...POST, headers: [["Content-Length", "100"]] });
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    expect(await lane.frame()).toMatchObject({ case: "whole", value: { head: { status: 403 } } });
    lane.sendData(EVIL);
    lane.sendEnd(EVIL.length);
    await lane.idle;
    await wire.gone;
    expect(wire.text).not.toContain("evil");
    await nextIsClean(bridge, origin);
  });
});

describe("an upgrade", () => {
  const WEBSOCKET: HeadInit = { target: "/exec", upgrade: "websocket", headers: [["Sec-WebSocket-Key", "x"]] };

  it.each([
    ["data", (lane: OpenLane) => lane.sendData(EVIL)],
    [
      "data and an end",
      (lane: OpenLane) => {
        lane.sendData(EVIL);
        lane.sendEnd(EVIL.length);
      },
    ],
    ["an end with data", (lane: OpenLane) => lane.sendEnd(0, EVIL)],
    ["data that do not join", (lane: OpenLane) => lane.sendData(EVIL, 7)],
    [
      "data that do not join, and an end",
      (lane: OpenLane) => {
        lane.sendData("x", 7);
        lane.sendEnd(8);
      },
    ],
  ])(
    "with %s before its answer, in the same turn or later, fails; none of it reaches the origin",
    async (_what, send) => {
      for (const later of [false, true]) {
        const { bridge, origin, lane } = await scene();
        lane.sendHead(WEBSOCKET);
        const wire = later ? await origin.accept() : undefined;
        await wire?.head();
        send(lane);
        expect(await lane.frame()).toMatchObject({ case: "error", value: { code: ErrorCode.PROTOCOL_VIOLATION } });
        await settled(() => origin.wires.length);
        for (const each of origin.wires) {
          each.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
          await each.gone;
          expect(each.text).not.toContain("evil");
        }
        if (!later && origin.wires.length > 0) await origin.accept();
        await nextIsClean(bridge, origin);
      }
    },
  );

  it.each(["GET", "POST", "PUT", "DELETE"])("by %s comes as a head and nothing behind it", async (method) => {
    const { origin, lane } = await scene();
    lane.sendHead({ ...WEBSOCKET, method, upgrade: "SPDY/3.1", target: "/portforward" });
    const wire = await origin.accept();
    const head = await wire.until("\r\n\r\n");
    wire.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
    expect(await lane.frame()).toMatchObject({ case: "head", value: { status: 101, upgrade: "SPDY/3.1" } });
    lane.sendData("first");
    expect(await wire.until("first")).toBe(`${head}first`);
    expect(head).not.toMatch(/Transfer-Encoding/i);
    expect(head).toContain("\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n");
    lane.sendEnd(5);
    await wire.ended;
  });

  it("that is refused leaves a connection on which nothing more is written", async () => {
    const { bridge, origin, lane } = await scene();
    lane.sendHead(WEBSOCKET);
    const wire = await origin.accept();
    const asked = await wire.until("\r\n\r\n");
    wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nno");
    expect(await lane.frame()).toMatchObject({ case: "head", value: { status: 403 } });
    lane.sendData(EVIL);
    await wire.gone;
    expect(wire.text).toBe(asked);
    await nextIsClean(bridge, origin);
  });

  it("that is refused, whose connection the origin keeps, is not used for the next request", async () => {
    const { bridge, origin, lane } = await scene();
    lane.sendHead(WEBSOCKET);
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
    lane.sendEnd(0);
    await lane.idle;
    await nextIsClean(bridge, origin);
  });
});

describe("what an HTTP client sends", () => {
  it.each([
    [
      "a Content-Length with a Transfer-Encoding",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["two Content-Lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody"],
    ["a Content-Length that is no number", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4x\r\n\r\nbody"],
    [
      "a Transfer-Encoding that is not chunked",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedd\r\n\r\n0\r\n\r\n",
    ],
    ["a blank before a header's colon", "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"],
    ["a folded header", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"],
    ["a bare CR", "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n"],
    ["a bare LF", "GET / HTTP/1.1\nHost: a\n\n"],
    ["a NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"],
    ["no Host", "GET / HTTP/1.1\r\n\r\n"],
    ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ])("with %s is refused with its connection, and the origin sees nothing", async (_what, bytes) => {
    const { bridge, origin } = await scene();
    const client = await Wire.connect(bridge.port);
    ends.push(() => client.socket.destroy());
    client.write(bytes);
    await client.gone;
    expect(client.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(origin.wires).toHaveLength(0);
  });

  it("with CONNECT is refused with its connection, and the origin sees nothing", async () => {
    const { bridge, origin } = await scene();
    const client = await Wire.connect(bridge.port);
    ends.push(() => client.socket.destroy());
    client.write("CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n");
    await client.gone;
    expect(client.text).toBe("");
    expect(origin.wires).toHaveLength(0);
  });

  it.each([
    ["an absolute target", "GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ["a backslash", "GET /\\evil HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["two Authorizations", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nauthorization: y\r\n\r\n"],
  ])("with %s is refused with a Status, and the origin sees nothing", async (_what, bytes) => {
    const { bridge, origin } = await scene();
    const client = await Wire.connect(bridge.port);
    ends.push(() => client.socket.destroy());
    client.write(bytes);
    expect(await client.until("}")).toMatch(/^HTTP\/1\.1 400 .*Fairlead-Error: MALFORMED_REQUEST; hop="client proxy"/s);
    expect(origin.wires).toHaveLength(0);
  });
});

describe("a thousand exchanges of random frames", () => {
  it("never make a second request of a body, and leave nothing open", async () => {
    const targets: string[] = [];
    const random = seeded(99);
    const sockets = new Set<Socket>();
    const answers = (incoming: IncomingMessage, socket: Socket): void => {
      targets.push(incoming.url ?? "");
      const answer = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "not HTTP",
        "",
      ][random(7)];
      const how = random(4);
      socket.write(answer ?? "");
      if (how === 0) socket.end();
      else if (how === 1) socket.resetAndDestroy();
    };
    const origin = createServer((incoming) => answers(incoming, incoming.socket));
    origin.on("upgrade", (incoming, socket: Socket) => answers(incoming, socket));
    origin.on("clientError", (_error, socket) => socket.destroy());
    origin.on("connection", (socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
    ends.push(() => {
      for (const socket of sockets) socket.destroy();
      origin.close();
    });
    const bridge = await Bridge.start({ origin: (origin.address() as AddressInfo).port });
    ends.push(() => bridge.close());
    const thrown: unknown[] = [];
    const onThrown = (error: unknown): number => thrown.push(error);
    process.on("uncaughtException", onThrown);
    ends.push(() => process.off("uncaughtException", onThrown));

    for (let batch = 0; batch < 20; batch++) {
      const lanes = await Promise.all(Array.from({ length: 50 }, () => bridge.openLane()));
      for (const lane of lanes) {
        sendRandomly(lane, random);
        for (let turns = random(3); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
        const over = Promise.race([lane.closed, lane.idle, lane.frame()]);
        if (random(2) === 0) await Promise.race([over, new Promise((resolve) => setImmediate(resolve))]);
        lane.lane.end();
      }
      for (const { lane } of lanes) {
        lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "over"));
      }
    }
    await settled(() => bridge.served.live);
    expect(thrown).toEqual([]);
    expect(bridge.served).toEqual({ opened: 1_000, live: 0 });
    expect(targets.length).toBeGreaterThan(100);
    expect(targets.filter((target) => target !== "/fuzz")).toEqual([]);
  }, 30_000);
});

function sendRandomly(lane: OpenLane, random: (end: number) => number): void {
  const headers: [string, string][] = [];
  if (random(3) === 0) headers.push(["Content-Length", String(random(60))]);
  if (random(4) === 0) headers.push(["Transfer-Encoding", "chunked"]);
  if (random(6) === 0) headers.push(["Expect", "100-continue"]);
  const init = { method: ["GET", "POST", "HEAD"][random(3)] ?? "GET", target: "/fuzz", headers };
  if (random(4) === 0) return lane.sendWhole(init, random(2) === 0 ? "" : EVIL, random(4) === 0 ? [["X", "y"]] : []);
  lane.sendHead({ ...init, upgrade: random(3) === 0 ? "websocket" : "" });
  let offset = 0;
  for (let pieces = random(4); pieces > 0; pieces--) {
    lane.sendData(EVIL, random(8) === 0 ? offset + 1 : offset);
    offset += EVIL.length;
  }
  if (random(3) > 0) lane.sendEnd(random(8) === 0 ? offset + 1 : offset, random(4) === 0 ? EVIL : "");
}
