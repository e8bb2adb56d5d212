import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer, connect as tlsConnect } from "node:tls";
import { create } from "@bufbuild/protobuf";
import {
  decodeRequest,
  ErrorCode,
  FairleadError,
  Hop,
  type Lane,
  type ResponseFrame,
  ResponseHeadSchema,
  WholeResponseSchema,
} from "@fairlead/protocol";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Bridge, type BridgeOptions } from "./bridge-fixture.ts";
import { header } from "./headers.ts";
import { ORIGIN_CERT, ORIGIN_KEY } from "./tls-fixture.ts";
import { UpstreamPool } from "./upstream-pool.ts";
import { settled, Wire, WireServer } from "./wire-fixture.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function bridgeWith(options: BridgeOptions): Promise<Bridge> {
  const bridge = await Bridge.start(options);
  ends.push(() => bridge.close());
  return bridge;
}

async function scene(prepare?: BridgeOptions["prepare"]): Promise<{ bridge: Bridge; origin: WireServer }> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  return { bridge: await bridgeWith({ origin: origin.port, ...(prepare && { prepare }) }), origin };
}

async function clientOf(bridge: Bridge): Promise<Wire> {
  const wire = await Wire.connect(bridge.port);
  ends.push(() => wire.socket.destroy());
  return wire;
}

const EXEC = "/api/v1/namespaces/n/pods/p/exec?command=ls";
const asks = (upgrade: string, target = EXEC, method = "POST", more: string[] = []): string =>
  [`${method} ${target} HTTP/1.1`, "Host: a", ...more, "Connection: Upgrade", `Upgrade: ${upgrade}`, "", ""].join(
    "\r\n",
  );
const SWITCHES = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream: v4\r\n\r\n";

/** An upgraded connection from end to end. */
async function upgraded(target = "/portforward"): Promise<{ bridge: Bridge; client: Wire; wire: Wire }> {
  const { bridge, origin } = await scene();
  const client = await clientOf(bridge);
  client.write(asks("SPDY/3.1", target));
  const wire = await origin.accept();
  await wire.head();
  wire.write(SWITCHES);
  await client.head();
  client.received = Buffer.alloc(0);
  wire.received = Buffer.alloc(0);
  return { bridge, client, wire };
}

/** Resolves when a connection is gone in both directions; a half-close would let the client go on writing. */
async function cut(wire: Wire): Promise<void> {
  await wire.gone;
  const writing = setInterval(() => wire.socket.writable && wire.write("x"), 5);
  expect(["ECONNRESET", "EPIPE"]).toContain(await wire.closed);
  clearInterval(writing);
}

describe("an upgrade", () => {
  it("to SPDY carries the 101 with its headers, and then raw bytes both ways", async () => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    client.write(
      asks("SPDY/3.1", EXEC, "POST", [
        "X-Stream-Protocol-Version: v4",
        "X-Stream-Protocol-Version: v3",
        "Content-Length: 0",
      ]),
    );
    const wire = await origin.accept();
    expect((await wire.head()).split("\r\n").slice(2)).toEqual([
      "X-Stream-Protocol-Version: v4",
      "X-Stream-Protocol-Version: v3",
      "Content-Length: 0",
      "Connection: Upgrade",
      "Upgrade: SPDY/3.1",
    ]);
    wire.write(SWITCHES);
    expect(await client.until("\r\n\r\n")).toBe(SWITCHES);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    client.received = Buffer.alloc(0);
    wire.received = Buffer.alloc(0);
    client.write(bytes);
    await wire.until(256);
    expect(wire.received).toEqual(bytes);
  });

  it("to WebSocket passes what the handshake needs", async () => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    const handshake = [
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io",
      "Sec-WebSocket-Extensions: permessage-deflate",
    ];
    client.write(asks("websocket", EXEC, "GET", handshake));
    const wire = await origin.accept();
    expect((await wire.head()).split("\r\n").slice(2)).toEqual([
      ...handshake,
      "Connection: Upgrade",
      "Upgrade: websocket",
    ]);
    const answer = ["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: v5.channel.k8s.io"];
    wire.write(
      ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", ...answer, "", ""].join("\r\n"),
    );
    expect((await client.head()).split("\r\n")).toEqual([
      "HTTP/1.1 101 Switching Protocols",
      "Connection: Upgrade",
      "Upgrade: websocket",
      ...answer,
    ]);
  });

  it("loses no byte that came right behind the 101, or right behind the request", async () => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    client.write(`${asks("websocket", "/x", "GET")}early bytes`);
    const wire = await origin.accept();
    expect(await wire.until("\r\n\r\n")).not.toContain("early");
    wire.write(`${SWITCHES}hello`);
    expect(await client.until("hello")).toBe(`${SWITCHES}hello`);
    await wire.until("early bytes");
  });

  it("whose head the lane takes slowly loses no byte that came right behind it either", async () => {
    const origin = await new WireServer().start();
    ends.push(() => origin.close());
    const bridge = await bridgeWith({ origin: origin.port, everySendWaits: true });
    const client = await clientOf(bridge);
    client.write(`${asks("websocket", "/x", "GET")}early bytes`);
    const wire = await origin.accept();
    await wire.head();
    wire.write(SWITCHES);
    await wire.until("early bytes");
    client.write(" and more");
    await wire.until("early bytes and more");
  });

  it("to TLS origins and back goes the same way", async () => {
    const tls = createTlsServer({ cert: ORIGIN_CERT, key: ORIGIN_KEY, allowHalfOpen: true });
    const origin = await new WireServer(tls, "secureConnection").start();
    ends.push(() => origin.close());
    const pool = new UpstreamPool({ host: "127.0.0.1", port: origin.port, tls: { ca: ORIGIN_CERT } });
    const bridge = await bridgeWith({
      origin: origin.port,
      prepare: (upstream) => ({ ...upstream, pool }),
    });
    const client = await clientOf(bridge);
    client.write(asks("SPDY/3.1", "/portforward"));
    const wire = await origin.accept();
    await wire.head();
    wire.write(SWITCHES);
    await client.head();
    client.write("to the origin");
    client.socket.end();
    await wire.until("to the origin");
    await wire.ended;
    wire.write("and back, after the half-close");
    wire.socket.end();
    await client.until("and back, after the half-close");
    await client.ended;
  });
});

describe("the two directions of an upgraded connection", () => {
  it("end on their own: the client's first", async () => {
    const { bridge, client, wire } = await upgraded();
    client.write("last words");
    client.socket.end();
    await wire.until("last words");
    await wire.ended;
    for (const answer of ["still ", "talking "]) {
      wire.write(answer);
      await client.until(answer);
    }
    wire.socket.end();
    await client.ended;
    await Promise.all([client.closed, wire.closed]);
    expect([bridge.served.live, bridge.idleLanes]).toEqual([1, 1]);
  });

  it("end on their own: the origin's first", async () => {
    const { bridge, client, wire } = await upgraded();
    wire.write("last words");
    wire.socket.end();
    await client.until("last words");
    await client.ended;
    for (const answer of ["still ", "talking "]) {
      client.write(answer);
      await wire.until(answer);
    }
    client.socket.end();
    await wire.ended;
    await Promise.all([client.closed, wire.closed]);
    expect([bridge.served.live, bridge.idleLanes]).toEqual([1, 1]);
  });

  it("deliver all of 8 MiB before their end", async () => {
    const { client, wire } = await upgraded();
    const bytes = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef");
    for (const [from, to] of [
      [client, wire],
      [wire, client],
    ] as const) {
      from.socket.end(bytes);
      let got = 0;
      to.socket.on("data", (chunk: Buffer) => {
        got += chunk.length;
      });
      to.socket.removeListener("data", to.socket.listeners("data")[0] as () => void);
      await to.ended;
      expect(got).toBe(bytes.length);
    }
  });

  it("are both cut at once when the client resets", async () => {
    const { bridge, client, wire } = await upgraded();
    client.reset();
    await wire.gone;
    await settled(() => bridge.served.live);
    expect(bridge.served.live).toBe(0);
  });

  it("are both cut at once when the client resets after it had ended its own", async () => {
    const { bridge, client, wire } = await upgraded();
    client.socket.end();
    await wire.ended;
    client.reset();
    await cut(wire);
    await settled(() => bridge.served.live);
    expect(bridge.served.live).toBe(0);
  });

  it("are both cut when the origin resets", async () => {
    const { client, wire } = await upgraded();
    wire.write("output");
    await client.until("output");
    wire.reset();
    await cut(client);
    expect(client.text).toBe("output");
  });

  it("end in good order for a client that says goodbye after the origin's end, though the origin then resets", async () => {
    const { bridge, client, wire } = await upgraded();
    wire.socket.end("last words");
    await client.ended;
    client.write("goodbye");
    await wire.until("goodbye");
    wire.reset();
    const released = new Promise<void>((resolve) => {
      bridge.onReleased = resolve;
    });
    client.write(Buffer.alloc(2 * 1024 * 1024)); // thrown away
    client.socket.end();
    expect(await client.closed).toBeUndefined();
    await released;
    expect(client.text).toBe("last words");
    expect([bridge.served.live, bridge.idleLanes]).toEqual([1, 1]);
  });

  it("are both cut when the lanes are lost", async () => {
    const { bridge, client, wire } = await upgraded();
    bridge.cutLanes();
    await Promise.all([cut(client), wire.gone]);
    expect(client.text).toBe("");
  });
});

describe("a 101 whose connection is reset right behind it", () => {
  it("is cut at the client, and never ends cleanly", async () => {
    for (let i = 0; i < 10; i++) {
      const { bridge, origin } = await scene();
      const client = await clientOf(bridge);
      client.write(asks("websocket", "/x", "GET"));
      const wire = await origin.accept();
      await wire.head();
      wire.socket.write(SWITCHES, () => wire.reset());
      await cut(client);
      expect(client.text === SWITCHES || client.text.startsWith("HTTP/1.1 502 ")).toBe(true);
    }
  });
});

describe("an upgrade that is refused", () => {
  it.each([
    [
      "whole",
      "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
      ['{"a":"b"}'],
      '{"a":"b"}',
    ],
    [
      "in chunks",
      "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n",
      ["3\r\nabc\r\n", "2\r\nde\r\n0\r\n\r\n"],
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    ],
    ["without a body", "HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n", [], ""],
    ["by a 200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", ["ok"], "ok"],
  ])("%s gives the client the whole answer, and then the connection closes", async (_what, head, pieces, body) => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    client.write(asks("SPDY/3.1"));
    const wire = await origin.accept();
    await wire.head();
    wire.write(head);
    for (const piece of pieces) wire.write(piece);
    await client.ended;
    const [line = "", rest = ""] = client.text.split(/\r\n\r\n(.*)/s);
    expect(line.split("\r\n")[0]).toBe(head.split("\r\n")[0]);
    expect(line).toMatch(/\r\nConnection: close/i);
    expect(rest).toBe(body);
    expect(line).not.toContain("Fairlead-Error");
  });

  it("leaves its lane to the next exchange", async () => {
    const { bridge, origin } = await scene();
    for (let i = 0; i < 5; i++) {
      const client = await clientOf(bridge);
      client.write(asks("websocket", EXEC, "GET"));
      const wire = await origin.accept();
      await wire.head();
      const released = new Promise<void>((resolve) => {
        bridge.onReleased = resolve;
      });
      wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      await client.ended;
      await released;
    }
    expect([bridge.served.opened, bridge.served.live, bridge.idleLanes]).toEqual([1, 1, 1]);
  });

  it("is cut at the client when the origin dies within its answer", async () => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    client.write(asks("SPDY/3.1"));
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    await client.until("abc");
    wire.reset();
    await cut(client);
    expect(client.text).not.toContain("0\r\n\r\n");
  });

  it("by what the origin's status says gives a Status instead of the origin's answer", async () => {
    const own = new FairleadError(ErrorCode.OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, "not yours");
    const { bridge, origin } = await scene((upstream) => ({
      ...upstream,
      judge: (status) => (status === 401 ? own : undefined),
    }));
    const client = await clientOf(bridge);
    client.write(asks("websocket", EXEC, "GET"));
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nsecret");
    await client.ended;
    expect(client.text).toMatch(/^HTTP\/1\.1 502 .*Fairlead-Error: OWN_CREDENTIAL_REFUSED; hop="identity proxy"\r\n/s);
    expect(client.text).not.toContain("secret");
  });

  it("before the origin gives a Status of less than 1,024 bytes, and the origin sees nothing", async () => {
    const { bridge, origin } = await scene(() => {
      throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "no".repeat(2_000));
    });
    const client = await clientOf(bridge);
    client.write(asks("websocket", EXEC, "GET"));
    await client.ended;
    const [head = "", body = ""] = client.text.split("\r\n\r\n");
    expect(head).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(body.length).toBeLessThan(1_024);
    expect(JSON.parse(Buffer.from(body, "latin1").toString())).toMatchObject({ kind: "Status", code: 403 });
    expect(origin.wires).toHaveLength(0);
  });

  it("because nobody listens gives 503, and a reset before the answer gives 502", async () => {
    const nobody = await clientOf(await bridgeWith({ origin: 1 }));
    nobody.write(asks("websocket", EXEC, "GET"));
    await nobody.ended;
    expect(nobody.text).toMatch(/^HTTP\/1\.1 503 .*Fairlead-Error: UNREACHABLE; hop="apiserver"\r\n/s);

    for (const how of ["RST", "FIN"]) {
      const { bridge, origin } = await scene();
      const client = await clientOf(bridge);
      client.write(asks("SPDY/3.1"));
      const wire = await origin.accept();
      await wire.head();
      if (how === "RST") wire.reset();
      else wire.socket.end();
      await client.ended;
      expect(client.text).toMatch(/^HTTP\/1\.1 502 .*Fairlead-Error: CONNECTION_LOST; hop="apiserver"\r\n/s);
    }
  });

  it("because it asks for h2c never reaches the origin", async () => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    client.write(asks("h2c", "/", "GET", ["HTTP2-Settings: AAMAAABkAAQAAP__"]));
    await client.ended;
    expect(client.text).toMatch(/^HTTP\/1\.1 400 .*Fairlead-Error: MALFORMED_REQUEST; hop="identity proxy"\r\n/s);
    expect(origin.wires).toHaveLength(0);
  });

  it("with a body behind its head: the body reaches nobody", async () => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    const body = "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n";
    client.write(asks("websocket", EXEC, "POST", [`Content-Length: ${body.length}`]) + body);
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    await client.ended;
    expect(wire.text).not.toContain("evil");
    expect(origin.wires).toHaveLength(1);
  });

  it("whose client leaves before the answer is left at the origin", async () => {
    const { bridge, origin } = await scene();
    const client = await clientOf(bridge);
    client.write(asks("SPDY/3.1"));
    const wire = await origin.accept();
    await wire.head();
    client.reset();
    await wire.gone;
    await settled(() => bridge.served.live);
    expect(bridge.served.live).toBe(0);
  });
});

describe("an exec by SPDY whose connection is lost", () => {
  /** A SPDY data frame. */
  const frame = (stream: number, text: string, flags = 0): Buffer =>
    Buffer.concat([Buffer.from([0, 0, 0, stream, flags, 0, 0, text.length]), Buffer.from(text)]);
  const output = frame(3, "some output\n");

  it.each(["FIN", "RST", "lanes"] as const)(
    "by %s before its result gets the fault on its error stream",
    async (how) => {
      const { bridge, client, wire } = await upgraded(EXEC);
      wire.write(Buffer.concat([output, output.subarray(0, 10)]));
      await client.until(output.length);
      if (how === "FIN") wire.socket.end();
      else if (how === "RST") wire.reset();
      else bridge.cutLanes();
      await client.gone;
      const told = client.received.subarray(output.length);
      expect(client.received.subarray(0, output.length)).toEqual(output);
      expect(told.subarray(0, 5)).toEqual(Buffer.from([0, 0, 0, 1, 1]));
      expect(told.readUIntBE(5, 3)).toBe(told.length - 8);
      expect(JSON.parse(told.subarray(8).toString())).toMatchObject({ kind: "Status", status: "Failure", code: 502 });
    },
  );

  it("after its result gets nothing in addition", async () => {
    const { client, wire } = await upgraded(EXEC);
    const all = Buffer.concat([output, frame(1, '{"status":"Success"}', 1), output]);
    wire.write(all);
    wire.socket.end();
    await client.ended;
    expect(client.received).toEqual(all);
  });

  it("is not one that is a port-forward: nothing is added to its bytes", async () => {
    const { client, wire } = await upgraded("/api/v1/namespaces/n/pods/p/portforward");
    wire.write("not SPDY at all");
    wire.socket.end();
    await client.ended;
    expect(client.text).toBe("not SPDY at all");
  });
});

describe("an exec by SPDY whose origin has said all and closed", () => {
  it("is finished by a client that reads late, though the lanes are lost in between", async () => {
    const { bridge, client, wire } = await upgraded(EXEC);
    client.socket.pause();
    const result = Buffer.concat([Buffer.from([0, 0, 0, 1, 1, 0, 0, 2]), Buffer.from("{}")]);
    const all = Buffer.concat([...Array.from({ length: 40 }, () => OUTPUT), result]);
    wire.write(all);
    wire.socket.end();
    await settled(() => wire.socket.writableLength);
    bridge.cutLanes();
    await settled(() => bridge.served.live);
    client.socket.resume();
    await client.gone;
    expect(client.received.length).toBe(all.length);
    expect(client.received.equals(all)).toBe(true);
  });

  it("loses no beginning of a frame at either end", async () => {
    const { client, wire } = await upgraded(EXEC);
    client.write(PING.subarray(0, 5));
    client.socket.end();
    await wire.ended;
    expect(wire.received).toEqual(PING.subarray(0, 5));
    wire.write(OUTPUT.subarray(0, 5));
    wire.socket.end();
    await client.gone; // whose own side tells the fault, and keeps what nobody could read
    expect(client.received.subarray(0, 5)).toEqual(Buffer.from([0, 0, 0, 1, 1]));
  });

  const PING = Buffer.from([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 7]);
  const OUTPUT = Buffer.concat([Buffer.from([0, 0, 0, 3, 0, 0, 0x7f, 0xf8]), Buffer.alloc(32_760, 1)]);

  /** Writes frames until the kernel takes no more. @returns how many it took whole */
  async function fill(socket: Socket): Promise<number> {
    for (let taken = 0; ; taken++) {
      const written = new Promise((resolve) => socket.write(OUTPUT, () => resolve(true)));
      if (!(await Promise.race([written, sleep(500, false)]))) return taken;
    }
  }

  it("loses nothing by a ping that comes after, while the client still reads", async () => {
    const { client, wire } = await upgraded(EXEC);
    client.socket.pause();
    const frames = await fill(wire.socket);
    wire.socket.destroy();
    client.write(PING);
    await sleep(200); // by then it has done what harm it can
    client.socket.resume();
    await client.gone;
    expect(client.received.length).toBeGreaterThan(frames * OUTPUT.length);
    expect(client.received.includes(PING)).toBe(true);
    const told = client.received.subarray(client.received.lastIndexOf(Buffer.from([0, 0, 0, 1, 1])));
    expect(JSON.parse(told.subarray(8).toString()).message).toMatch(/the cluster closed the connection before/);
  });
});

describe("a server of lanes that answers an upgrade with", () => {
  const head = (status: number, change: { headers?: [string, string][]; reason?: string; upgrade?: string } = {}) =>
    create(ResponseHeadSchema, {
      status,
      reason: change.reason ?? "",
      upgrade: change.upgrade ?? "websocket",
      headers: (change.headers ?? []).map(([name, value]) => header(name, value)),
    });
  const headFrame = (...of: Parameters<typeof head>): ResponseFrame["frame"] => ({ case: "head", value: head(...of) });
  const whole = (of: ReturnType<typeof head> | undefined): ResponseFrame["frame"] => ({
    case: "whole",
    value: create(WholeResponseSchema, { ...(of && { head: of }), body: Buffer.from("HTTP/1.1 200 OK\r\n\r\n") }),
  });

  it.each([
    ["a header of two lines", [headFrame(101, { headers: [["X", "a\r\nSet-Cookie: b"]] })], undefined],
    ["a protocol of two lines", [headFrame(101, { upgrade: "websocket\r\nSet-Cookie: b" })], undefined],
    ["a reason of two lines", [headFrame(101, { reason: "OK\r\nSet-Cookie: b" })], undefined],
    ["a refusal whose reason is of two lines", [headFrame(403, { reason: "No\r\nSet-Cookie: b" })], undefined],
    ["no head", [whole(undefined)], undefined],
    ["a 101 in one message", [whole(head(101))], undefined],
    ["a status of 100", [headFrame(100)], undefined],
    ["a status of 0", [headFrame(0)], undefined],
    ["an answer to another request", [headFrame(101)], Buffer.alloc(16, 7)],
    ["a refusal of another request, in one message", [whole(head(403))], Buffer.alloc(16, 7)],
  ] as [string, ResponseFrame["frame"][], Buffer | undefined][])(
    "%s gives 502, and nothing of it",
    async (_what, frames, id) => {
      const serve = (lane: Lane): void => {
        lane.start({
          frame: (_field, message) => {
            const request = decodeRequest(message);
            const exchangeId = id ?? (request.case === "head" ? request.value.exchangeId : new Uint8Array());
            for (const frame of frames) {
              const of = frame.case === "whole" ? frame.value.head : frame.case === "head" ? frame.value : undefined;
              if (of) of.exchangeId = exchangeId;
              lane.sendResponse(frame);
            }
          },
          drained: () => {},
          idle: () => {},
          closed: () => {},
        });
        lane.sendReady();
      };
      const client = await clientOf(await bridgeWith({ serve }));
      client.write(asks("websocket", EXEC, "GET"));
      await client.gone;
      expect(client.text).toMatch(/^HTTP\/1\.1 502 .*Fairlead-Error: PROTOCOL_VIOLATION; hop="relay"\r\n/s);
      expect(client.text).not.toMatch(/Set-Cookie|HTTP\/1\.1 200/);
    },
  );
});

describe("a client's TLS connection", () => {
  it.each([
    ["that is cut lacks TLS's own goodbye", "RST", false],
    ["that ends has it", "FIN", true],
  ] as const)("%s", async (_what, how, goodbye) => {
    const origin = await new WireServer().start();
    ends.push(() => origin.close());
    const bridge = await bridgeWith({ origin: origin.port, clientTls: { cert: ORIGIN_CERT, key: ORIGIN_KEY } });
    // Between client and bridge, to see the records.
    const middle = await new WireServer().start();
    ends.push(() => middle.close());
    const client = tlsConnect({ port: middle.port, host: "127.0.0.1", ca: ORIGIN_CERT, maxVersion: "TLSv1.2" });
    ends.push(() => client.destroy());
    client.on("error", () => {}).resume();
    const [near, far] = [await middle.accept(), await clientOf(bridge)];
    far.write(near.received);
    near.socket.pipe(far.socket).pipe(near.socket);
    client.write(asks("websocket", "/x", "GET"));
    const wire = await origin.accept();
    await wire.head();
    wire.write(SWITCHES);
    await once(client, "data");
    if (how === "RST") wire.reset();
    else wire.socket.end();
    await far.gone;
    // 21 is an alert, and close_notify is the only one here (RFC 5246, 7.2.1).
    expect(recordTypes(far.received).includes(21)).toBe(goodbye);
  });
});

/** The content types of TLS records, in order. */
function recordTypes(bytes: Buffer): (number | undefined)[] {
  const types: (number | undefined)[] = [];
  for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) types.push(bytes[at]);
  return types;
}
