import { once } from "node:events";
import { createServer as createTlsServer } from "node:tls";
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

async function toWire(prepare?: BridgeOptions["prepare"]): Promise<{ bridge: Bridge; origin: WireServer }> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  return { bridge: await bridgeWith({ origin: origin.port, ...(prepare && { prepare }) }), origin };
}

async function clientOf(bridge: Bridge): Promise<Wire> {
  const wire = await Wire.connect(bridge.port);
  ends.push(() => wire.socket.destroy());
  return wire;
}

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbody";

/** The answer of our own that a client got: its status, its error header and its Status. */
async function refusal(
  client: Wire,
): Promise<{ http: number; error: string | undefined; message: string; code: number }> {
  const head = await client.head();
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
  const text = await client.until(head.length + 4 + length);
  const { message, code } = JSON.parse(Buffer.from(text.slice(head.length + 4), "latin1").toString());
  return {
    http: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    error: /Fairlead-Error: (.*)/.exec(head)?.[1],
    message,
    code,
  };
}

describe("an origin that cannot be reached", () => {
  it.each([
    ["a GET", GET],
    ["a POST whose body is on its way", POST],
  ])("answers %s with 503 and UNREACHABLE, and the next request is tried anew", async (_what, request) => {
    const bridge = await bridgeWith({ origin: 1 });
    for (let i = 0; i < 2; i++) {
      const client = await clientOf(bridge);
      client.write(request);
      expect(await refusal(client)).toMatchObject({
        http: 503,
        code: 503,
        error: 'UNREACHABLE; hop="apiserver"',
        message: expect.stringContaining("cannot reach the apiserver (ECONNREFUSED)"),
      });
    }
  });

  it("because its certificate is not trusted is UNREACHABLE: the request never left", async () => {
    const tls = createTlsServer({ cert: ORIGIN_CERT, key: ORIGIN_KEY });
    const origin = await new WireServer(tls, "secureConnection").start();
    ends.push(() => origin.close());
    const pool = new UpstreamPool({ host: "127.0.0.1", port: origin.port, tls: {} });
    const bridge = await bridgeWith({
      origin: origin.port,
      prepare: (upstream) => ({ ...upstream, pool }),
    });
    const client = await clientOf(bridge);
    client.write(GET);
    expect(await refusal(client)).toMatchObject({ http: 503, error: 'UNREACHABLE; hop="apiserver"' });
  });
});

describe("an origin that is lost", () => {
  it.each(["FIN", "RST"] as const)("by %s before its answer gives 502 and CONNECTION_LOST", async (how) => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(GET);
    const wire = await origin.accept();
    await wire.head();
    if (how === "FIN") wire.socket.end();
    else wire.reset();
    expect(await refusal(client)).toMatchObject({
      http: 502,
      error: 'CONNECTION_LOST; hop="apiserver"',
      message: expect.stringContaining("may have been carried out"),
    });
    expect(origin.wires).toHaveLength(1); // and the request was not sent again
    client.received = Buffer.alloc(0);
    client.write(GET);
    const next = await origin.accept();
    await next.head();
    next.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    await client.until("\r\n\r\nok");
    expect(bridge.served.opened).toBe(1); // the lane lived on
  });

  it.each([
    ["chunked", "FIN", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
    ["chunked", "RST", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
    ["of a length", "FIN", "Content-Length: 100\r\n\r\nhello"],
    ["of a length", "RST", "Content-Length: 100\r\n\r\nhello"],
    ["chunked, in the middle of a chunk,", "FIN", "Transfer-Encoding: chunked\r\n\r\nff\r\nhello"],
  ])(
    "within an answer %s, by %s, cuts the client's connection, and never ends it cleanly",
    async (_what, how, answer) => {
      const { bridge, origin } = await toWire();
      const client = await clientOf(bridge);
      client.write(GET);
      const wire = await origin.accept();
      await wire.head();
      wire.write(`HTTP/1.1 200 OK\r\n${answer}`);
      await client.until("hello");
      if (how === "FIN") wire.socket.end();
      else wire.reset();
      await client.gone;
      expect(client.text).not.toContain("\r\n0\r\n\r\n");
      expect(client.text.endsWith("hello") || client.text.endsWith("hello\r\n")).toBe(true);
    },
  );

  it("behind its head, in the same packet, never gives a whole answer", async () => {
    const { bridge, origin } = await toWire();
    for (let i = 0; i < 10; i++) {
      const client = await clientOf(bridge);
      client.write(GET);
      const wire = await origin.accept();
      await wire.head();
      wire.socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
      await client.gone;
      expect(client.text).not.toContain("\r\n0\r\n\r\n");
    }
  });

  it("while an upload is on its way gives its reason, and the client may read it", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(POST);
    const wire = await origin.accept();
    await wire.until("body");
    wire.reset();
    expect(await refusal(client)).toMatchObject({ http: 502, error: 'CONNECTION_LOST; hop="apiserver"' });
  });

  it("by an answer that is not HTTP gives 502", async () => {
    const { bridge, origin } = await toWire();
    for (const answer of [
      "SSH-2.0-OpenSSH\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "\0\0\0",
    ]) {
      const client = await clientOf(bridge);
      client.write(GET);
      const wire = await origin.accept();
      await wire.head();
      wire.write(answer);
      expect(await refusal(client)).toMatchObject({ http: 502, error: 'CONNECTION_LOST; hop="apiserver"' });
    }
  });

  it("by a 101 that nobody asked for gives 502", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(GET);
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw bytes");
    expect(await refusal(client)).toMatchObject({ http: 502, error: 'CONNECTION_LOST; hop="apiserver"' });
    await wire.gone;
  });
});

describe("a refusal", () => {
  const denied = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "you may not; ask for it");

  it.each([
    ["a GET", GET],
    ["a POST whose body is on its way", POST],
    ["a POST that expects 100", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"],
  ])(
    "before the origin answers %s with its code, hop and sentence, and the origin sees nothing",
    async (_what, request) => {
      const { bridge, origin } = await toWire(() => Promise.reject(denied));
      const client = await clientOf(bridge);
      client.write(request);
      expect(await refusal(client)).toMatchObject({
        http: 403,
        error: 'ACCESS_DENIED; hop="identity proxy"',
        message: "fairlead: identity proxy: you may not; ask for it",
      });
      expect(origin.wires).toHaveLength(0);
    },
  );

  it("by what the origin's status says replaces the origin's answer", async () => {
    const own = new FairleadError(ErrorCode.OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, "not yours");
    const { bridge, origin } = await toWire((upstream) => ({
      ...upstream,
      judge: (status) => (status === 401 ? own : undefined),
    }));
    const client = await clientOf(bridge);
    client.write(GET);
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nsecret");
    expect(await refusal(client)).toMatchObject({ http: 502, error: 'OWN_CREDENTIAL_REFUSED; hop="identity proxy"' });
    expect(client.text).not.toContain("secret");
  });

  it("by an error of another kind is INTERNAL at the identity proxy", async () => {
    const { bridge } = await toWire(() => {
      throw new TypeError("planted");
    });
    const client = await clientOf(bridge);
    client.write(GET);
    expect(await refusal(client)).toMatchObject({ http: 500, error: 'INTERNAL; hop="identity proxy"' });
  });

  it("of a request whose head is not one that can be carried comes from this end", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n");
    expect(await refusal(client)).toMatchObject({ http: 400, error: 'MALFORMED_REQUEST; hop="client proxy"' });
    expect(origin.wires).toHaveLength(0);
  });
});

describe("lanes that are lost", () => {
  it("before the answer give 502 and say that the request may have been carried out", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(GET);
    const wire = await origin.accept();
    await wire.head();
    bridge.cutLanes();
    expect(await refusal(client)).toMatchObject({
      http: 502,
      error: 'CONNECTION_LOST; hop="relay"',
      message: expect.stringContaining("it may have been carried out"),
    });
    await wire.gone;
  });

  it("within the answer cut the client's connection, and the origin's", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(GET);
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await client.until("hello");
    bridge.cutLanes();
    await Promise.all([client.gone, wire.gone]);
    expect(client.text).not.toContain("\r\n0\r\n\r\n");
  });
});

describe("a server of lanes that is hostile", () => {
  /** A bridge whose lanes answer each request by these frames. */
  async function answering(frames: ResponseFrame["frame"][], then?: (lane: Lane) => void): Promise<Wire> {
    const serve = (lane: Lane): void => {
      lane.start({
        frame: (_field, message) => {
          const request = decodeRequest(message);
          const exchangeId = request.case === "whole" ? request.value.head?.exchangeId : undefined;
          for (const frame of frames) lane.sendResponse(answerTo(exchangeId ?? new Uint8Array(), frame));
          then?.(lane);
        },
        drained: () => {},
        idle: () => {},
        closed: () => {},
      });
      lane.sendReady();
    };
    const client = await clientOf(await bridgeWith({ serve }));
    client.write(GET);
    return client;
  }

  /** Puts an exchange id into a frame that has a head, but for one that says whose it is. */
  function answerTo(exchangeId: Uint8Array, frame: ResponseFrame["frame"]): ResponseFrame["frame"] {
    const head = frame.case === "whole" ? frame.value.head : frame.case === "head" ? frame.value : undefined;
    if (head?.exchangeId.length === 0) head.exchangeId = exchangeId;
    return frame;
  }

  const head = (status: number, headers: [string, string][] = [], reason = "") =>
    create(ResponseHeadSchema, { status, reason, headers: headers.map(([name, value]) => header(name, value)) });
  const headFrame = (...of: Parameters<typeof head>) => ({ case: "head" as const, value: head(...of) });
  const whole = (of: ReturnType<typeof head> | undefined, body = "") => ({
    case: "whole" as const,
    value: create(WholeResponseSchema, { ...(of && { head: of }), body: Buffer.from(body) }),
  });
  const data = (text: string, offset = 0) => ({
    case: "data" as const,
    value: { $typeName: "fairlead.tunnel.v1alpha1.Data" as const, offset: BigInt(offset), data: Buffer.from(text) },
  });
  const end = (offset: number, text = "") => ({
    case: "end" as const,
    value: {
      $typeName: "fairlead.tunnel.v1alpha1.End" as const,
      offset: BigInt(offset),
      data: Buffer.from(text),
      trailers: [],
    },
  });

  it.each([
    ["a status of 0", [whole(head(0))]],
    ["a status of 99", [whole(head(99))]],
    ["a status of 1000", [whole(head(1000))]],
    ["a 101 that nobody asked for", [headFrame(101)]],
    ["a 100 as its answer", [whole(head(100))]],
    ["no head", [whole(undefined, "HTTP/1.1 200 OK\r\n\r\n")]],
    ["a header of two lines", [whole(head(200, [["X", "a\r\nSet-Cookie: b"]]))]],
    ["a header's name of two lines", [headFrame(200, [["X\r\nY", "a"]])]],
    ["a reason of two lines", [whole(head(200, [], "OK\r\nX: y"))]],
    ["a 1xx of two lines", [{ case: "informational" as const, value: head(103, [["X", "a\r\n\r\nHTTP/1.1 200 OK"]]) }]],
    ["a 1xx whose reason is of two lines", [{ case: "informational" as const, value: head(103, [], "a\r\nb") }]],
    ["a 200 as a 1xx", [{ case: "informational" as const, value: head(200) }]],
    ["a 101 as a 1xx", [{ case: "informational" as const, value: head(101) }]],
    ["an answer to another request", [whole({ ...head(200), exchangeId: Buffer.alloc(16, 7) })]],
    [
      "the head of an answer to another request",
      [headFrame(200), data("hello")].map((frame) => answerTo(Buffer.alloc(16, 7), frame)),
    ],
  ])("that answers with %s gives 502 or 500, and nothing of it", async (_what, frames) => {
    const client = await answering(frames);
    expect(await refusal(client)).toMatchObject({
      http: expect.any(Number),
      error: expect.stringMatching(/^(PROTOCOL_VIOLATION|INTERNAL); hop="relay"$/),
    });
    expect(client.text.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(client.text).not.toMatch(/Set-Cookie|HTTP\/1\.1 200|X: y/);
  });

  it.each([
    [
      "longer than its Content-Length",
      [headFrame(200, [["Content-Length", "5"]]), data("helloHTTP/1.1 200 OK"), end(20)],
    ],
    [
      "longer than its Content-Length, in its end",
      [headFrame(200, [["Content-Length", "5"]]), data("hello"), end(5, "!")],
    ],
    ["shorter than its Content-Length", [headFrame(200, [["Content-Length", "9"]]), data("hello"), end(5)]],
    ["longer than its Content-Length, in one message", [whole(head(200, [["Content-Length", "5"]]), "hello!")]],
    ["shorter than its Content-Length, in one message", [whole(head(200, [["Content-Length", "9"]]), "hello")]],
    ["with a gap", [headFrame(200), data("hello"), data("!", 6)]],
    ["with a repeat", [headFrame(200), data("hello"), data("o!", 4)]],
    ["with a gap before its end", [headFrame(200), data("hello"), end(6)]],
  ])("that answers with a body %s is cut off, and its bytes are no second answer", async (_what, frames) => {
    const client = await answering(frames);
    await client.gone;
    expect(client.text).not.toContain("\r\n0\r\n\r\n");
    expect(client.text.split("HTTP/1.1")).toHaveLength(client.text === "" ? 1 : 2);
    expect(client.text).not.toContain("!");
  });

  it("that sends Transfer-Encoding or Connection headers changes nothing of how the answer is framed", async () => {
    const smuggled: [string, string][] = [
      ["Transfer-Encoding", "gzip, chunked"],
      ["Connection", "Content-Length"],
      ["X-A", "b"],
    ];
    const client = await answering([headFrame(200, smuggled), data("hello"), end(5)]);
    expect(await client.until("0\r\n\r\n")).toMatch(
      /^HTTP\/1\.1 200 \r\nX-A: b\r\n.*Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/s,
    );
  });

  it("that resets the lane within an answer cuts the client's connection", async () => {
    const reset = new FairleadError(ErrorCode.DRAINING, Hop.AGENT, "stopping");
    const client = await answering([headFrame(200), data("hello")], (lane) => setImmediate(() => lane.reset(reset)));
    await client.gone;
    expect(client.text).not.toContain("\r\n0\r\n\r\n");
  });

  it("that fails an exchange before its head gives its Status, once", async () => {
    const message = new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "too many", {
      retryAfterSeconds: 2,
    }).toMessage();
    const client = await answering([{ case: "error", value: message }], (lane) =>
      lane.refuse(new FairleadError(ErrorCode.INTERNAL, Hop.RELAY, "x")),
    );
    expect(await refusal(client)).toMatchObject({ http: 429, error: 'LIMIT_EXCEEDED; hop="relay"' });
    expect(client.text).toContain("Retry-After: 2\r\n");
    await settled(() => client.received.length);
    expect(client.text.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});

describe("an answer before the request's end", () => {
  it("to a client that goes on to send leaves neither of them stuck, even when the upload had come to a stop", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    const length = 64 * 1024 * 1024;
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`);
    const wire = await origin.accept();
    await wire.head();
    wire.socket.pause(); // the origin reads no body
    let sent = 0;
    const piece = Buffer.alloc(256 * 1024);
    const fill = (): void => {
      while (sent < length) {
        sent += piece.length;
        if (!client.socket.write(piece)) return void client.socket.once("drain", fill);
      }
    };
    fill();
    const stalledAt = await settled(() => sent);
    expect(stalledAt).toBeLessThan(length);
    wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    await client.until("\r\n\r\nno");
    wire.socket.resume();
    await wire.gone;
    while (sent < length) await once(client.socket, "drain");
    client.write(GET); // the connection is still in step
    const next = await origin.accept();
    expect(await next.head()).toMatch(/^GET \/ /);
    next.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    await client.until("\r\n\r\nyes");
  });
});
