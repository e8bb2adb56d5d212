import { connect as connectHttp2 } from "node:http2";
import { create } from "@bufbuild/protobuf";
import { DataSchema, EndSchema, type RequestFrame, ResponseHeadSchema } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture, type ServedLane } from "./agent-fixture.ts";
import { http2Client, RawClient } from "./direct/direct-fixture.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

const CHUNK = Buffer.alloc(32 * 1024, "x");
const ALL_BYTES = 64 * 1024 * 1024;
/** The connections' own buffers and windows, and what each stage holds. */
const HELD_BYTES = 24 * 1024 * 1024;

let tls: RelayTls;
let relay: RelayFixture;
let lane: ServedLane;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  tls = await issueRelayTls();
});
beforeEach(async () => {
  relay = await RelayFixture.start(tls);
  const { lanes } = await AgentFixture.attach(relay.connect(), await relay.makeCluster("prod"));
  lane = lanes[0] as ServedLane;
});
afterEach(async () => {
  for (const end of ends.splice(0)) end();
  await relay.close();
});

const bearer = () => `Bearer ${relay.token("jane")}`;

function begin(frame: RequestFrame["frame"]): void {
  const head = frame.case === "whole" ? frame.value.head : undefined;
  const value = create(ResponseHeadSchema, { exchangeId: head?.exchangeId ?? new Uint8Array(), status: 200 });
  lane.lane.sendResponse({ case: "head", value });
}

/** Answers with many bytes, as fast as they are taken. @returns tells how many have been sent */
function answerAtLength(): () => number {
  let sent = 0;
  const pump = (): void => {
    while (sent < ALL_BYTES) {
      const value = create(DataSchema, { offset: BigInt(sent), data: CHUNK });
      sent += CHUNK.length;
      if (!lane.lane.sendResponse({ case: "data", value })) return;
    }
    lane.lane.sendResponse({ case: "end", value: create(EndSchema, { offset: BigInt(sent) }) });
  };
  lane.lane.start({ frame: () => {}, drained: pump, idle: () => {}, closed: () => {} });
  pump();
  return () => sent;
}

/** What a number becomes when it does not change for a while. */
async function settled(of: () => number): Promise<number> {
  for (let before = -1; before !== of(); ) {
    before = of();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return of();
}

describe("a client that does not read", () => {
  it("stops its answer by HTTP/1.1, and gets all of it when it reads", async () => {
    const raw = await RawClient.open(relay);
    ends.push(() => raw.socket.destroy());
    raw.socket.pause();
    raw.send("GET /clusters/prod/api HTTP/1.1", "Host: a", "Connection: close", `Authorization: ${bearer()}`);
    begin(await lane.requests.take());
    const sent = answerAtLength();
    expect(await settled(sent)).toBeLessThan(HELD_BYTES);
    raw.socket.resume();
    expect((await raw.ended()).length).toBeGreaterThan(ALL_BYTES);
  });

  it("stops its answer by HTTP/2, and no other one on its connection", async () => {
    const client = http2Client(relay);
    ends.push(() => client.close());
    const { session } = client;
    const stream = session.request({ ":path": "/clusters/prod/api", authorization: bearer() });
    stream.on("error", () => {}).pause();
    begin(await lane.requests.take());
    const sent = answerAtLength();
    expect(await settled(sent)).toBeLessThan(HELD_BYTES);
    expect((await client.ask({ path: "/clusters/missing/api", headers: { authorization: bearer() } })).status).toBe(
      503,
    );
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => (bytes += chunk.length)).resume();
    await new Promise((resolve) => stream.once("close", resolve));
    expect(bytes).toBe(ALL_BYTES);
  });
});

describe("a cluster that does not read", () => {
  it.each(["HTTP/1.1", "HTTP/2"])("stops a body by %s", async (version) => {
    let sent = (): number => 0;
    const headers = { authorization: bearer() };
    if (version === "HTTP/2") {
      const client = http2Client(relay);
      ends.push(() => client.close());
      const stream = client.session.request({ ":path": "/clusters/prod/api", ":method": "POST", ...headers });
      stream.on("error", () => {});
      for (let bytes = 0; bytes < ALL_BYTES; bytes += CHUNK.length) stream.write(CHUNK);
      sent = () => ALL_BYTES - stream.writableLength;
    } else {
      const { socket, send } = await rawUpload();
      send();
      sent = () => socket.bytesWritten - socket.writableLength;
    }
    await lane.requests.take();
    lane.lane.pause();
    expect(await settled(sent)).toBeLessThan(HELD_BYTES);
  });

  async function rawUpload() {
    const raw = await RawClient.open(relay);
    ends.push(() => raw.socket.destroy());
    const lines = ["Host: a", `Authorization: ${bearer()}`, `Content-Length: ${ALL_BYTES}`];
    const send = (): void => {
      raw.send("POST /clusters/prod/api HTTP/1.1", ...lines);
      for (let bytes = 0; bytes < ALL_BYTES; bytes += CHUNK.length) raw.socket.write(CHUNK);
    };
    return { socket: raw.socket, send };
  }
});

describe("a stranger's body", () => {
  it("is not kept: the refusal comes before its end", async () => {
    const client = http2Client(relay);
    ends.push(() => client.close());
    const stream = client.session.request({ ":path": "/clusters/prod/api", ":method": "POST" });
    stream.on("error", () => {});
    stream.write(Buffer.alloc(100_000));
    const head = await new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
    expect(head[":status"]).toBe(401);
    await new Promise((resolve) => stream.resume().once("close", resolve));
    expect(stream.rstCode).toBe(0);
    expect(lane.requests.size).toBe(0);
  });

  it("is not kept, nor is a caller's whose request is answered early, with trailers", async () => {
    const client = http2Client(relay);
    ends.push(() => client.close());
    const asked = { ":path": "/clusters/prod/api", ":method": "POST", authorization: bearer() };
    const stream = client.session.request(asked);
    stream.on("error", () => {});
    stream.write("part");
    const frame = await lane.requests.take();
    const exchangeId = frame.case === "head" ? frame.value.exchangeId : new Uint8Array();
    lane.lane.sendResponse({ case: "head", value: create(ResponseHeadSchema, { exchangeId, status: 413 }) });
    const trailers = [{ name: "X-Sum", value: Buffer.from("7") }];
    lane.lane.sendResponse({ case: "end", value: create(EndSchema, { offset: 0n, trailers }) });
    const came = new Promise<Record<string, unknown>>((resolve) => stream.once("trailers", resolve));
    await new Promise((resolve) => stream.resume().once("close", resolve));
    expect(await came).toMatchObject({ "x-sum": "7" });
    expect(stream.rstCode).toBe(0);
    await lane.closes.take();
  });
});

describe("a head by HTTP/2", () => {
  /** A connection by which more is sent than node's client would. */
  const open = () => {
    const session = connectHttp2(relay.url.origin, { ca: relay.ca, maxSendHeaderBlockLength: 8 * 1024 * 1024 });
    session.on("error", () => {});
    ends.push(() => session.destroy());
    return session;
  };
  const large = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, "x".repeat(30_000)]));

  it("of 120,000 bytes comes whole", async () => {
    const stream = open().request({ ":path": "/clusters/prod/api", authorization: bearer(), ...large(4) });
    stream.on("error", () => {});
    const frame = await lane.requests.take();
    const { headers = [] } = (frame.case === "whole" ? frame.value.head : undefined) ?? {};
    expect(headers.filter(({ name, value }) => name.startsWith("x-") && value.length === 30_000)).toHaveLength(4);
  });

  it.each([
    ["of more than 140 KB", () => large(8)],
    ["of more than 1 MiB", () => large(60)],
    ["with one header of more than 64 KiB", () => ({ x: "x".repeat(100_000) })],
  ])("%s is refused, and others go on", async (_what, headers) => {
    const stream = open().request({ ":path": "/clusters/prod/api", authorization: bearer(), ...headers() });
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("close", resolve));
    expect(lane.requests.size).toBe(0);
    const other = http2Client(relay);
    ends.push(() => other.close());
    expect((await other.ask({ path: "/clusters/prod/api" })).status).toBe(401);
  });

  it("that expects 100 Continue hears the cluster's, and other 1xx with their headers", async () => {
    const headers = {
      ":path": "/clusters/prod/api",
      ":method": "POST",
      authorization: bearer(),
      expect: "100-continue",
    };
    const stream = open().request(headers);
    stream.on("error", () => {});
    const heard: unknown[] = [];
    stream.on("continue", () => heard.push(100));
    stream.on("headers", (head) => heard.push([head[":status"], head.link]));
    const frame = await lane.requests.take();
    const exchangeId = frame.case === "head" ? frame.value.exchangeId : new Uint8Array();
    for (const status of [100, 103]) {
      const value = create(ResponseHeadSchema, { exchangeId, status });
      if (status === 103)
        value.headers.push({ $typeName: "fairlead.tunnel.v1alpha1.Header", name: "Link", value: Buffer.from("<a>") });
      lane.lane.sendResponse({ case: "informational", value });
    }
    while (heard.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual([100, [100, undefined], [103, "<a>"]]); // node's client tells a 100 twice
  });
});
