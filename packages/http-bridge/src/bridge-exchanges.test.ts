import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestOptions,
  request,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Bridge } from "./bridge-fixture.ts";
import { Wire, WireServer } from "./wire-fixture.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A bridge in front of an HTTP server of node's. */
async function toOrigin(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Bridge> {
  const server = createServer({ maxHeaderSize: 2 * 1024 * 1024, keepAliveTimeout: 60_000 }, answer);
  server.maxHeadersCount = 0;
  server.on("checkContinue", answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return bridgeTo((server.address() as AddressInfo).port);
}

async function bridgeTo(origin: number): Promise<Bridge> {
  const bridge = await Bridge.start({ origin });
  ends.push(() => bridge.close());
  return bridge;
}

/** A bridge in front of a server that shows bytes. */
async function toWire(): Promise<{ bridge: Bridge; origin: WireServer }> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  return { bridge: await bridgeTo(origin.port), origin };
}

async function clientOf(bridge: Bridge): Promise<Wire> {
  const wire = await Wire.connect(bridge.port);
  ends.push(() => wire.socket.destroy());
  return wire;
}

/** Sends one request by node's client and reads the whole answer. */
async function ask(
  bridge: Bridge,
  options: RequestOptions,
  body?: string | Buffer,
): Promise<{ response: IncomingMessage; body: Buffer }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(
      { host: "127.0.0.1", port: bridge.port, agent: false, maxHeaderSize: 2 ** 21, ...options },
      resolve,
    );
    sent.maxHeadersCount = 0;
    sent.on("error", reject);
    sent.end(body);
  });
  return { response, body: await whole(response) };
}

async function whole(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const framesOf = (bridge: Bridge): string[] => bridge.frames.map(({ to, frame }) => `${frame.case} to ${to}`);
/** A message's header lines, without those of one connection. */
const linesOf = (raw: string[]): string[] =>
  raw
    .flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${raw[i + 1]}`] : []))
    .filter((line) => !/^(Connection|Keep-Alive|Host|Date|Transfer-Encoding):/i.test(line));

describe("a small exchange", () => {
  it("by GET is one message each way", async () => {
    const bridge = await toOrigin((_request, response) => response.setHeader("X-A", "b").end("hello"));
    const { response, body } = await ask(bridge, { path: "/api/v1/pods?limit=1" });
    expect([response.statusCode, response.headers["x-a"], String(body)]).toEqual([200, "b", "hello"]);
    expect(framesOf(bridge)).toEqual(["whole to server", "whole to requester"]);
  });

  it("by POST, whose body is in one packet with its head, is one message each way", async () => {
    const bridge = await toOrigin(async (incoming, response) => response.end(`got ${await whole(incoming)}`));
    const client = await clientOf(bridge);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    expect(await client.until("got body")).toContain("HTTP/1.1 200 OK\r\n");
    expect(framesOf(bridge)).toEqual(["whole to server", "whole to requester"]);
  });

  it("leaves its lane and both connections to the next", async () => {
    const ports = new Set<number | undefined>();
    const bridge = await toOrigin((incoming, response) => {
      ports.add(incoming.socket.remotePort);
      response.end("ok");
    });
    const client = await clientOf(bridge);
    for (let i = 1; i <= 20; i++) {
      client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      while (client.text.split("\r\n\r\nok").length <= i)
        await new Promise((resolve) => client.socket.once("data", resolve));
    }
    expect([bridge.served.opened, bridge.served.live, bridge.idleLanes, ports.size]).toEqual([1, 1, 1, 1]);
  });

  it("comes to the origin as one clean request", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("DELETE /x?y=%20 HTTP/1.1\r\nHost: kubernetes\r\nuser-AGENT: k/1\r\nAccept: a\r\nACCEPT: b\r\n\r\n");
    const wire = await origin.accept();
    expect(await wire.until("\r\n\r\n")).toBe(
      `DELETE /x?y=%20 HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\nuser-AGENT: k/1\r\nAccept: a\r\nACCEPT: b\r\n\r\n`,
    );
  });
});

describe("a body", () => {
  it("that is larger than one frame goes both ways whole", async () => {
    const bridge = await toOrigin((incoming, response) => incoming.pipe(response));
    const sent = Buffer.alloc(3_000_000, "0123456789");
    const { body } = await ask(bridge, { method: "POST", headers: { "content-length": sent.length } }, sent);
    expect(body.equals(sent)).toBe(true);
    expect(framesOf(bridge).filter((frame) => frame.startsWith("whole"))).toEqual([]);
  });

  it("of just 64 KiB and of one byte more goes both ways whole", async () => {
    const bridge = await toOrigin((incoming, response) => incoming.pipe(response));
    for (const length of [65_535, 65_536, 65_537]) {
      const sent = Buffer.alloc(length, "x");
      const { body } = await ask(bridge, { method: "PUT", headers: { "content-length": length } }, sent);
      expect(body.length).toBe(length);
    }
  });

  it("leaves the lane for the next exchange after a large upload", async () => {
    const bridge = await toOrigin(async (incoming, response) => response.end(String((await whole(incoming)).length)));
    for (let i = 0; i < 3; i++) {
      const { body } = await ask(bridge, { method: "POST" }, Buffer.alloc(1_000_000));
      expect(String(body)).toBe("1000000");
      expect(String((await ask(bridge, { path: "/" })).body)).toBe("0");
    }
    expect(bridge.served.opened).toBe(1);
  });

  it("in chunks goes on chunk by chunk, to the origin and back, as each comes", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    const wire = await origin.accept();
    expect(await wire.until("\r\n\r\n")).toContain("Transfer-Encoding: chunked\r\n");
    client.write("3\r\nabc\r\n");
    expect(await wire.until("3\r\nabc\r\n")).not.toContain("0\r\n\r\n");
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n");
    expect(await client.until("4\r\nwxyz\r\n")).not.toContain("0\r\n\r\n");
    client.write("0\r\n\r\n");
    await wire.until("0\r\n\r\n");
    wire.write("0\r\n\r\n");
    expect(await client.until("0\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n4\r\nwxyz\r\n0\r\n\r\n$/s);
  });

  it("that is gzip stays gzip, with its Vary and its length", async () => {
    const packed = gzipSync("x".repeat(200_000));
    const bridge = await toOrigin((_request, response) => {
      response.writeHead(200, { "Content-Encoding": "gzip", Vary: "Accept-Encoding", "Content-Length": packed.length });
      response.end(packed);
    });
    const { response, body } = await ask(bridge, { headers: { "accept-encoding": "gzip" } });
    expect(body.equals(packed)).toBe(true);
    expect(response.headers).toMatchObject({
      "content-encoding": "gzip",
      vary: "Accept-Encoding",
      "content-length": String(packed.length),
    });
  });

  it("of the request may still come when the answer is there, and the connection stays usable", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    const wire = await origin.accept();
    await wire.until("abc");
    wire.write("HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno");
    expect(await client.until("\r\n\r\nno")).toContain("HTTP/1.1 409 Conflict\r\n");
    client.write("defghijGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    const next = await origin.accept();
    expect(await next.until("\r\n\r\n")).toMatch(/^GET \/next /);
    expect(wire.text).not.toContain("GET");
    await wire.gone;
  });
});

describe("a watch", () => {
  it("has its head before its first event, and each event at once", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: a\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect(await client.head()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    for (const event of ['{"type":"ADDED"}\n', '{"type":"BOOKMARK"}\n']) {
      wire.write(`${event.length.toString(16)}\r\n${event}\r\n`);
      await client.until(event);
    }
    wire.write("0\r\n\r\n");
    await client.until("\r\n0\r\n\r\n");
  });

  it("that the client leaves is left at the origin at once, and a hundred of them leave nothing", async () => {
    const { bridge, origin } = await toWire();
    const clients = await Promise.all(Array.from({ length: 100 }, () => clientOf(bridge)));
    const wires: Wire[] = [];
    for (const client of clients) {
      client.write("GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: a\r\n\r\n");
      const wire = await origin.accept();
      await wire.head();
      wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n");
      await client.until("{}");
      wires.push(wire);
    }
    for (const [i, client] of clients.entries()) {
      if (i % 2 === 0) client.reset();
      else client.socket.destroy();
    }
    await Promise.all(wires.map(({ gone }) => gone));
    expect([bridge.served.opened, bridge.served.live]).toEqual([100, 0]);
  });

  it("that the client leaves before its head is left at the origin at once", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    client.reset();
    await wire.gone;
    expect(wire.text.match(/GET/g)).toHaveLength(1); // and the request is not sent again
    expect(origin.wires).toHaveLength(1);
  });
});

describe("headers", () => {
  const ODD = ["X-8: \x80\xe9\xff", 'Warning: 299 - "a, b"', "x-Case: 1", 'warning: 299 - "c"', "X-Empty: "];

  it.each([
    ["a whole request", "Content-Length: 2", "ok"],
    ["a request whose body is still to come", "Transfer-Encoding: chunked", ""],
  ])("of %s keep order, case, repeats and bytes above 0x7f", async (_what, framing, body) => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(["POST / HTTP/1.1", "Host: a", ...ODD, framing, "", body].join("\r\n"));
    const lines = (await (await origin.accept()).head()).split("\r\n");
    expect(lines.slice(2, 2 + ODD.length)).toEqual(ODD);
  });

  it.each([
    ["a whole answer", ["Content-Length: 2"], "ok"],
    ["an answer whose body is still to come", ["Transfer-Encoding: chunked"], ""],
    ["an answer of a length whose body is still to come", ["Content-Length: 99"], ""],
  ])("of %s keep order, case, repeats and bytes above 0x7f", async (_what, framing, body) => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write(["HTTP/1.1 200 Fine By Me", ...ODD, ...framing, "", body].join("\r\n"));
    const lines = (await client.head()).split("\r\n");
    expect(lines.slice(0, 1 + ODD.length)).toEqual(["HTTP/1.1 200 Fine By Me", ...ODD]);
    expect(lines.filter((line) => line.startsWith("Date"))).toEqual([]); // the origin sent none
  });

  it("of one connection go no further, nor those that Connection names, both ways", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    const hop = [
      "Connection: X-Secret, keep-alive",
      "X-Secret: 1",
      "Keep-Alive: timeout=9",
      "TE: trailers",
      "Proxy-Authorization: Basic x",
    ];
    client.write(["GET / HTTP/1.1", "Host: a", ...hop, "X-Kept: 1", "", ""].join("\r\n"));
    const wire = await origin.accept();
    expect((await wire.head()).split("\r\n").slice(2)).toEqual(["X-Kept: 1"]);
    const back = [
      "Connection: X-Inner, close",
      "X-Inner: 1",
      "Proxy-Authenticate: x",
      "Trailer: X-Sum",
      "Keep-Alive: timeout=9",
    ];
    wire.write(["HTTP/1.1 200 OK", ...back, "X-Kept: 2", "Content-Length: 0", "", ""].join("\r\n"));
    const head = await client.head();
    expect(head).toContain("\r\nX-Kept: 2\r\n");
    expect(head).not.toMatch(/X-Inner|Proxy-Authenticate|Trailer|timeout=9|close/i);
  });

  it("of nearly 1 MiB pass, both ways", async () => {
    const large = "x".repeat(1_000_000);
    const bridge = await toOrigin((incoming, response) => {
      response.writeHead(200, {
        "X-Large": incoming.headers["x-large"] ?? "",
        "X-Url-Length": incoming.url?.length ?? 0,
      });
      response.end();
    });
    const { response } = await ask(bridge, { headers: { "X-Large": large } });
    expect([response.statusCode, response.headers["x-large"]?.length]).toEqual([200, large.length]);
    const long = await ask(bridge, { path: `/exec?command=${large}` });
    expect(long.response.headers["x-url-length"]).toBe(String(large.length + 14));
  });

  it("in thousands all pass, both ways", async () => {
    const many = Array.from({ length: 5_000 }, (_, i) => [`X-${i}`, `${i}`]).flat();
    const bridge = await toOrigin((incoming, response) => {
      response.writeHead(
        200,
        incoming.rawHeaders.filter((_, i, all) => all[i - (i % 2)]?.startsWith("X-")),
      );
      response.end();
    });
    const { response } = await ask(bridge, { headers: [...many, "Host", "a"] });
    expect(linesOf(response.rawHeaders)).toHaveLength(5_000);
  });
});

describe("trailers", () => {
  it.each([
    ["with a body in one packet", "3\r\nabc\r\n0\r\nX-Sum: 7\r\nx-sum: \xe9\r\n\r\n"],
    ["without a body", "0\r\nX-Sum: 7\r\nx-sum: \xe9\r\n\r\n"],
  ])("of a small request %s reach the origin", async (_what, body) => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
    expect(await (await origin.accept()).until("\xe9\r\n\r\n")).toContain(`\r\n\r\n${body}`);
    expect(framesOf(bridge)).toEqual(["whole to server"]);
  });

  it("of a request whose body came later reach the origin", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    client.write("3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n");
    expect(await wire.until("0\r\nX-Sum: 7\r\n\r\n")).toContain("3\r\nabc\r\n");
  });

  it.each([
    ["small", "2\r\nok\r\n0\r\nX-Sum: 7\r\nx-sum: \xe9\r\n\r\n", 0],
    ["streamed", "2\r\nok\r\n", 1],
  ])("of a %s answer reach the client", async (_what, first, later) => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${first}`);
    if (later) {
      await client.until("ok\r\n");
      wire.write("0\r\nX-Sum: 7\r\nx-sum: \xe9\r\n\r\n");
    }
    expect(await client.until("\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nx-sum: \xe9\r\n\r\n")).toBeTruthy();
  });
});

describe("informational answers", () => {
  it("100 follows the client's Expect, and the body is not waited for before", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    const wire = await origin.accept();
    expect(await wire.head()).toContain("Expect: 100-continue");
    expect(client.text).toBe("");
    wire.write("HTTP/1.1 100 Continue\r\n\r\n");
    expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.write("body");
    await wire.until("\r\n\r\nbody");
    wire.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    await client.until("HTTP/1.1 201 Created\r\n");
  });

  it("an Expect may be refused, and the body is then never asked for", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    expect(await client.until("\r\n\r\nbig")).toMatch(/^HTTP\/1\.1 413 Too Large\r\n.*connection: close/is);
    await client.ended; // what the client would send now could be a body or a request
  });

  it("that comes before the request's end lets the client send 64 MiB more, and then cuts it", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 ** 30}\r\n\r\n`);
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    await client.until("\r\n\r\nbig");
    const piece = Buffer.alloc(256 * 1024);
    let sent = 0;
    while (!client.socket.destroyed && sent < 2 ** 28) {
      sent += piece.length;
      await new Promise((resolve) => client.socket.write(piece, resolve));
    }
    expect(sent).toBeGreaterThan(64 * 1024 * 1024);
    expect(sent).toBeLessThan(128 * 1024 * 1024);
  });

  it("103 comes before the answer, with its headers, as often as it is sent", async () => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-8: \xe9\r\n\r\n");
    expect(await client.until("\r\n\r\n")).toBe("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-8: \xe9\r\n\r\n");
    wire.write("HTTP/1.1 103 \r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    expect(await client.until("\r\n\r\nok")).toContain("HTTP/1.1 103 \r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\n");
  });
});

describe("answers without a body", () => {
  it.each([
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", /^HTTP\/1\.1 200 OK\r\nContent-Length: 1234\r\n/],
    ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", /^HTTP\/1\.1 200 OK\r\n/],
    ["GET", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", /^HTTP\/1\.1 204 No Content\r\nX-A: b\r\n/],
    [
      "GET",
      'HTTP/1.1 304 Not Modified\r\nETag: "abc"\r\nCache-Control: public\r\nContent-Length: 99\r\n\r\n',
      /^HTTP\/1\.1 304 Not Modified\r\nETag: "abc"\r\nCache-Control: public\r\nContent-Length: 99\r\n/,
    ],
  ])("to %s stay so: %j", async (method, answer, expected) => {
    const { bridge, origin } = await toWire();
    const client = await clientOf(bridge);
    for (let i = 0; i < 2; i++) {
      client.received = Buffer.alloc(0);
      client.write(`${method} / HTTP/1.1\r\nHost: a\r\nIf-None-Match: "abc"\r\n\r\n`);
      const wire = i === 0 ? await origin.accept() : (origin.wires[0] as Wire);
      await wire.until(wire.received.length + 1);
      await wire.head();
      wire.received = Buffer.alloc(0);
      wire.write(answer);
      expect(await client.until("\r\n\r\n")).toMatch(expected);
      expect(client.text.endsWith("\r\n\r\n")).toBe(true);
      expect(client.text.split("\r\n\r\n")).toHaveLength(2);
    }
    expect(bridge.served.opened).toBe(1);
  });
});

describe("timings", () => {
  it("come back as Server-Timing where they were asked for, and only there", async () => {
    const bridge = await toOrigin((_request, response) => response.end("ok"));
    const asked = await ask(bridge, { headers: { "Fairlead-Timings": "1" } });
    expect(asked.response.headers["server-timing"]).toMatch(
      /^client-proxy;dur=[\d.]+, identity-proxy;dur=[\d.]+, apiserver;dur=[\d.]+$/,
    );
    expect((await ask(bridge, {})).response.headers["server-timing"]).toBeUndefined();
  });
});

describe("many exchanges at once", () => {
  it("each get their own answer", async () => {
    const bridge = await toOrigin(async (incoming, response) => {
      const body = await whole(incoming);
      setImmediate(() => response.end(`${incoming.url} ${body.length}`));
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 32 });
    ends.push(() => agent.destroy());
    const asked = Array.from({ length: 300 }, async (_, i) => {
      const { body } = await ask(bridge, { agent, method: "PUT", path: `/${i}` }, Buffer.alloc(i * 700));
      expect(String(body)).toBe(`/${i} ${i * 700}`);
    });
    await Promise.all(asked);
    expect(bridge.served.live).toBe(bridge.idleLanes);
  });
});
