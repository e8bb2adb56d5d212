import { Agent } from "node:https";
import { create } from "@bufbuild/protobuf";
import {
  DataSchema,
  EndSchema,
  HeaderSchema,
  type RequestFrame,
  ResponseHeadSchema,
  WholeResponseSchema,
} from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture, type ServedLane } from "./agent-fixture.ts";
import { http1Client, http2Client, RawClient } from "./direct/direct-fixture.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

let tls: RelayTls;
let relay: RelayFixture;
let lane: ServedLane;
let raw: RawClient;

beforeAll(async () => {
  tls = await issueRelayTls();
});
beforeEach(async () => {
  relay = await RelayFixture.start(tls);
  lane = await laneOf("prod");
  raw = await RawClient.open(relay);
});
afterEach(async () => {
  raw.socket.destroy();
  await relay.close();
});

async function laneOf(cluster: string): Promise<ServedLane> {
  const { lanes } = await AgentFixture.attach(relay.connect(), await relay.makeCluster(cluster));
  return lanes[0] as ServedLane;
}

const bearer = () => `Authorization: Bearer ${relay.token("jane")}`;
const subprotocol = (token: string) =>
  `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString("base64url")}`;

function headOf(frame: RequestFrame["frame"]) {
  const head = frame.case === "whole" ? frame.value.head : frame.case === "head" ? frame.value : undefined;
  if (head === undefined) throw new Error(`a ${frame.case} came`);
  return head;
}
const headersOf = (frame: RequestFrame["frame"]): [string, string][] =>
  headOf(frame).headers.map(({ name, value }) => [name.toLowerCase(), Buffer.from(value).toString()]);

function switchTo(frame: RequestFrame["frame"], upgrade: string, headers: [string, string][] = []): void {
  const { exchangeId } = headOf(frame);
  const lines = headers.map(([name, value]) => create(HeaderSchema, { name, value: Buffer.from(value) }));
  const head = create(ResponseHeadSchema, { exchangeId, status: 101, upgrade, headers: lines });
  lane.lane.sendResponse({ case: "head", value: head });
}
function answer(frame: RequestFrame["frame"], status = 200): void {
  const head = create(ResponseHeadSchema, { exchangeId: headOf(frame).exchangeId, status });
  lane.lane.sendResponse({ case: "whole", value: create(WholeResponseSchema, { head }) });
}
const textOf = (frame: RequestFrame["frame"]) =>
  frame.case === "data" || frame.case === "end" ? Buffer.from(frame.value.data).toString() : frame.case;

/** Asks for an upgrade of a connection to the cluster. */
const EXEC = "/clusters/prod/api/v1/namespaces/a/pods/b/exec?command=true";
const asks = (...lines: string[]) => raw.send(`GET ${EXEC} HTTP/1.1`, "Host: relay", "Connection: Upgrade", ...lines);

describe("a request that hops could read in different ways", () => {
  it.each<[what: string, status: number, lines: () => string[]]>([
    ["two Host headers", 400, () => ["GET /clusters/prod/api HTTP/1.1", "Host: a", "Host: b", bearer()]],
    ["two Authorization headers", 400, () => ["GET /clusters/prod/api HTTP/1.1", "Host: a", bearer(), bearer()]],
    ["no Host header", 400, () => ["GET /clusters/prod/api HTTP/1.1", bearer()]],
    ["a folded header", 400, () => ["GET /clusters/prod/api HTTP/1.1", "Host: a", "X: a", "\tb", bearer()]],
    ["a NUL", 400, () => ["GET /clusters/prod/api HTTP/1.1", "Host: a", "X: a\0b", bearer()]],
    ["a bare CR", 400, () => ["GET /clusters/prod/api HTTP/1.1", "Host: a", "X: a\rb", bearer()]],
    [
      "Content-Length and Transfer-Encoding",
      400,
      () => [
        "POST /clusters/prod/api HTTP/1.1",
        "Host: a",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        bearer(),
      ],
    ],
    [
      "two Content-Lengths",
      400,
      () => ["POST /clusters/prod/api HTTP/1.1", "Host: a", "Content-Length: 3", "Content-Length: 4", bearer()],
    ],
    ["an absolute form", 404, () => ["GET https://relay/clusters/prod/api HTTP/1.1", "Host: a", bearer()]],
    ["another's absolute form", 404, () => ["GET http://evil/clusters/prod/api HTTP/1.1", "Host: a", bearer()]],
    ["a target with a blank", 400, () => ["GET /clusters/prod/a b HTTP/1.1", "Host: a", bearer()]],
    ["a target with a backslash", 400, () => ["GET /clusters/prod/\\evil HTTP/1.1", "Host: a", bearer()]],
  ])("with %s never comes to a cluster", async (_what, status, lines) => {
    raw.send(...lines());
    expect(await raw.until(/\r\n\r\n/)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(lane.requests.size).toBe(0);
  });

  it("CONNECT opens nothing", async () => {
    raw.send("CONNECT /clusters/prod/api HTTP/1.1", "Host: a", bearer());
    await raw.ended();
    expect(lane.requests.size).toBe(0);
  });

  it("cannot take headers off by naming them in Connection, other than its own token", async () => {
    raw.send("GET /clusters/prod/api HTTP/1.1", "Host: a", "Connection: close, Authorization", bearer());
    expect(await raw.ended()).toMatch(/^HTTP\/1.1 401 /);
    expect(lane.requests.size).toBe(0);
  });

  it("with a head over 1 MiB is answered by a Status with 431, over HTTP/1.1", async () => {
    raw.send("GET /clusters/prod/api HTTP/1.1", "Host: a", `X: ${"x".repeat(1_100_000)}`);
    const text = await raw.ended();
    expect(text).toMatch(/^HTTP\/1.1 431 .*\r\n(.*\r\n)*Fairlead-Error: HEAD_TOO_LARGE; hop="relay"\r\n/);
    expect(JSON.parse(text.split("\r\n\r\n")[1] ?? "")).toMatchObject({ kind: "Status", code: 431 });
  });

  it("with a head of almost 1 MiB, and with 3,000 headers, comes whole", async () => {
    raw.send("GET /clusters/prod/a HTTP/1.1", "Host: a", bearer(), `X: ${"x".repeat(1_000_000)}`);
    const large = await lane.requests.take();
    expect(headersOf(large).find(([name]) => name === "x")?.[1]).toHaveLength(1_000_000);
    answer(large);
    await raw.until("HTTP/1.1 200");
    const many = Array.from({ length: 3_000 }, (_, i) => `X-${i}: ${i}`);
    raw.send("GET /clusters/prod/b HTTP/1.1", "Host: a", bearer(), ...many);
    expect(headersOf(await lane.requests.take())).toHaveLength(3_001);
  });
});

describe("an upgrade at a cluster's path", () => {
  it.each(["websocket", "SPDY/3.1"])("to %s is carried as raw bytes, with a half-close each way", async (upgrade) => {
    asks(`Upgrade: ${upgrade}`, bearer());
    const opening = await lane.requests.take();
    expect(headOf(opening)).toMatchObject({ cluster: "prod", upgrade, target: EXEC.replace("/clusters/prod", "") });
    switchTo(opening, upgrade);
    await raw.until("HTTP/1.1 101 Switching Protocols\r\n");
    raw.socket.write("from the client");
    expect(textOf(await lane.requests.take())).toBe("from the client");
    raw.socket.end();
    expect(await lane.requests.take()).toMatchObject({ case: "end" });
    const data = Buffer.from("\0\0\0\u0003\0\0\0\u0008the rest"); // a frame of SPDY's
    lane.lane.sendResponse({ case: "data", value: create(DataSchema, { offset: 0n, data }) });
    lane.lane.sendResponse({ case: "end", value: create(EndSchema, { offset: BigInt(data.length) }) });
    expect(await raw.ended()).toContain(`\r\n\r\n${data}`);
    expect(relay.counts).toMatchObject({ exchanges: 0, admitted_exchanges: 0 });
  });

  it("takes the token from a subprotocol, and leaves it out of what the cluster sees", async () => {
    const token = relay.token("jane");
    const lines = [`Sec-WebSocket-Protocol: ${subprotocol(token)}`, "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.a"];
    asks("Upgrade: websocket", ...lines);
    const headers = headersOf(await lane.requests.take());
    expect(headers).toContainEqual(["authorization", `Bearer ${token}`]);
    expect(headers).toContainEqual(["sec-websocket-protocol", "v5.channel.k8s.io, v4.a"]);
    expect(JSON.stringify(headers)).not.toContain("base64url.bearer");
  });

  it("takes the header where there is a subprotocol too, and leaves that out", async () => {
    const token = relay.token("jane");
    asks("Upgrade: websocket", `Authorization: Bearer ${token}`, `Sec-WebSocket-Protocol: ${subprotocol("other")}, a`);
    const headers = headersOf(await lane.requests.take());
    expect(headers.filter(([name]) => name === "authorization")).toEqual([["authorization", `Bearer ${token}`]]);
    expect(headers).toContainEqual(["sec-websocket-protocol", "a"]);
  });

  it.each<[what: string, status: number, lines: () => string[]]>([
    ["no token", 401, () => []],
    ["a word for a token", 401, () => ["Authorization: Bearer word"]],
    ["a word in a subprotocol", 401, () => [`Sec-WebSocket-Protocol: ${subprotocol("word")}`]],
    ["a token that is no base64url", 401, () => ["Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.%%%"]],
    [
      "two tokens in subprotocols",
      400,
      () => [`Sec-WebSocket-Protocol: ${subprotocol(relay.token("jane"))}, ${subprotocol(relay.token("root"))}`],
    ],
    [
      "a line break in the token",
      401,
      () => [`Sec-WebSocket-Protocol: ${subprotocol(`${relay.token("jane")}\r\nX: y`)}`],
    ],
  ])("with %s is refused by a Status below 1,024 bytes, and the connection ends", async (_what, status, lines) => {
    asks("Upgrade: websocket", ...lines());
    const text = await raw.ended();
    const body = text.split("\r\n\r\n")[1] ?? "";
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(body)).toMatchObject({ kind: "Status", code: status });
    expect(body.length).toBeLessThan(1_024);
    expect(lane.requests.size).toBe(0);
  });

  it("that is answered by anything but 101 leaves no connection to use", async () => {
    asks("Upgrade: websocket", bearer());
    answer(await lane.requests.take(), 403);
    raw.send("GET /clusters/prod/api HTTP/1.1", "Host: a", bearer());
    expect((await raw.ended()).match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 403"]);
  });

  it("sent behind a request that is not answered is not carried", async () => {
    raw.send("GET /clusters/prod/slow HTTP/1.1", "Host: a", bearer());
    asks("Upgrade: websocket", bearer());
    await raw.ended(); // perhaps before the first has gone on
    while (lane.requests.size > 0) expect(headOf(await lane.requests.take()).upgrade).toBe("");
  });

  it("tells an exec its fault when the cluster is lost", async () => {
    asks("Upgrade: websocket", "Sec-WebSocket-Protocol: v5.channel.k8s.io", bearer());
    switchTo(await lane.requests.take(), "websocket", [["Sec-WebSocket-Protocol", "v5.channel.k8s.io"]]);
    await raw.until("101 Switching");
    relay.disconnect();
    expect(await raw.ended()).toMatch(/fairlead: (agent|relay): the connection was lost/);
  });

  it("elsewhere is no upgrade: the request is answered as any", async () => {
    raw.send("GET /nowhere HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket");
    expect(await raw.until("\r\n\r\n")).toMatch(/^HTTP\/1.1 404 /);
  });
});

describe("a client that expects 100 Continue", () => {
  it("hears the cluster's, and nothing of ours before", async () => {
    const lines = ["Host: a", bearer(), "Content-Length: 4", "Expect: 100-continue"];
    raw.send("POST /clusters/prod/api HTTP/1.1", ...lines);
    const opening = await lane.requests.take();
    expect(opening.case).toBe("head");
    expect(raw.text).toBe("");
    lane.lane.sendResponse({
      case: "informational",
      value: create(ResponseHeadSchema, { exchangeId: headOf(opening).exchangeId, status: 100 }),
    });
    await raw.until("HTTP/1.1 100 Continue\r\n\r\n");
    raw.socket.write("body");
    expect(textOf(await lane.requests.take())).toBe("body");
  });

  it("is refused before it sends its body", async () => {
    const lines = ["Host: a", "Content-Length: 4", "Expect: 100-continue"];
    raw.send("POST /clusters/prod/api HTTP/1.1", ...lines);
    expect(await raw.until("\r\n\r\n")).toMatch(/^HTTP\/1.1 401 /);
  });

  it("hears it from us where the request is for no cluster", async () => {
    raw.send("POST /nowhere HTTP/1.1", "Host: a", "Content-Length: 4", "Expect: 100-continue");
    await raw.until("HTTP/1.1 100 Continue\r\n\r\n");
    raw.socket.write("body");
    expect(await raw.until("404")).toMatch(/HTTP\/1.1 404 /);
  });
});

describe("by the name of a cluster in the relay's domain", () => {
  beforeEach(async () => {
    relay.direct = { domain: "Clusters.Example.com:8443" };
    await relay.stop(0);
    await relay.startAgain();
    relay.disconnect();
    lane = await laneOf("stage");
    raw = await RawClient.open(relay);
  });

  it.each(["stage.clusters.example.com", "STAGE.Clusters.example.COM:8443", "stage.clusters.example.com:443"])(
    "%s, all paths are the cluster's",
    async (host) => {
      raw.send("GET /clusters/prod/api HTTP/1.1", `Host: ${host}`, bearer());
      const frame = await lane.requests.take();
      expect(headOf(frame)).toMatchObject({ cluster: "stage", target: "/clusters/prod/api" });
    },
  );

  it("the same by HTTP/2, where the authority counts and not a Host beside it", async () => {
    const client = http2Client(relay);
    const headers = { ":authority": "stage.clusters.example.com", host: "prod.clusters.example.com" };
    const answered = client.ask({ path: "/api", headers: { ...headers, authorization: bearer().slice(15) } });
    const frame = await lane.requests.take();
    expect(headOf(frame)).toMatchObject({ cluster: "stage", target: "/api" });
    answer(frame);
    expect(await answered).toMatchObject({ status: 200 });
    client.close();
  });

  it.each([
    ".clusters.example.com",
    "a.b.clusters.example.com",
    "-.clusters.example.com",
    "st_age.clusters.example.com",
  ])("%s is no cluster", async (host) => {
    raw.send("GET /api HTTP/1.1", `Host: ${host}`, bearer());
    expect(await raw.until("\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
  });

  it.each(["clusters.example.com", "stageclusters.example.com", "stage.clusters.example.com.evil.com"])(
    "%s is not in the domain",
    async (host) => {
      raw.send("GET /api HTTP/1.1", `Host: ${host}`, bearer());
      expect(await raw.until("\r\n\r\n")).toMatch(/^HTTP\/1.1 404 /);
    },
  );

  it.each(["https://evil/api", "//evil/../x", "/../api"])("the target %s is refused", async (target) => {
    raw.send(`GET ${target} HTTP/1.1`, "Host: stage.clusters.example.com", bearer());
    expect(await raw.until("\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
    expect(lane.requests.size).toBe(0);
  });
});

describe("a watch by HTTP/1.1 whose access ends", () => {
  it("says why by a whole event, and is cut behind that", async () => {
    raw.send("GET /clusters/prod/api/v1/pods?watch=True HTTP/1.1", "Host: a", bearer());
    const { exchangeId } = headOf(await lane.requests.take());
    const headers = [create(HeaderSchema, { name: "Content-Type", value: Buffer.from("application/json") })];
    lane.lane.sendResponse({ case: "head", value: create(ResponseHeadSchema, { exchangeId, status: 200, headers }) });
    await raw.until("HTTP/1.1 200");
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    expect(await raw.ended()).toMatch(/\r\n\r\n[0-9a-f]+\r\n\{"type":"ERROR",.*\}\n\r\n$/);
  });
});

describe("when the relay stops", () => {
  it("a request by HTTP/1.1 that is under way is answered, and its connection closed then", async () => {
    raw.send("GET /clusters/prod/api HTTP/1.1", "Host: a", bearer());
    const frame = await lane.requests.take();
    const stopped = relay.stop(10_000);
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // agents have had their time, and clients are told
    answer(frame);
    expect(await raw.ended()).toMatch(/^HTTP\/1.1 200 \r\n(.*\r\n)*Connection: close\r\n/);
    await stopped;
  });

  it("a watch by HTTP/1.1 goes on, and its connection ends with it", async () => {
    raw.send("GET /clusters/prod/api/v1/pods?watch=1 HTTP/1.1", "Host: a", bearer());
    const { exchangeId } = headOf(await lane.requests.take());
    lane.lane.sendResponse({ case: "head", value: create(ResponseHeadSchema, { exchangeId, status: 200 }) });
    await raw.until("HTTP/1.1 200");
    const stopped = relay.stop(10_000);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(raw.socket.destroyed).toBe(false);
    lane.lane.sendResponse({ case: "end", value: create(EndSchema, { offset: 0n, data: Buffer.from("last") }) });
    expect(await raw.ended()).toMatch(/last\r\n0\r\n\r\n$/);
    await stopped;
  });

  it("an idle connection is closed, and a request by HTTP/2 answered behind its GOAWAY", async () => {
    const agent = new Agent({ keepAlive: true });
    const kept = http1Client(relay, agent);
    const first = kept.ask({ path: "/clusters/prod/api", headers: { authorization: bearer().slice(15) } });
    answer(await lane.requests.take());
    await first;
    const client = http2Client(relay);
    const gone = new Promise((resolve) => client.session.once("goaway", resolve));
    const answered = client.ask({ path: "/clusters/prod/api", headers: { authorization: bearer().slice(15) } });
    const frame = await lane.requests.take();
    const stopped = relay.stop(10_000);
    expect(await gone).toBe(0);
    answer(frame);
    expect(await answered).toMatchObject({ status: 200 });
    await stopped;
    expect(Object.keys(agent.freeSockets)).toEqual([]);
    kept.close();
  });

  it("a request that is left at the end of the grace is told that it may have been carried out", async () => {
    raw.send("POST /clusters/prod/api HTTP/1.1", "Host: a", bearer(), "Content-Length: 0");
    await lane.requests.take();
    await relay.stop(100);
    expect(await raw.ended()).toMatch(/^HTTP\/1.1 502 (.*\r\n)+\r\n.*it may have been carried out/);
  });

  it("a command that is left at the end of the grace has its fault for a result", async () => {
    asks("Upgrade: websocket", "Sec-WebSocket-Protocol: v5.channel.k8s.io", bearer());
    switchTo(await lane.requests.take(), "websocket", [["Sec-WebSocket-Protocol", "v5.channel.k8s.io"]]);
    await raw.until("101 Switching");
    await relay.stop(100);
    expect(await raw.ended()).toMatch(/fairlead: relay: the relay was stopped while the request was under way/);
  });

  it("what is left at the end of the grace is cut", async () => {
    raw.send("GET /clusters/prod/api HTTP/1.1", "Host: a", bearer());
    await lane.requests.take();
    await relay.stop(100);
    await raw.ended();
  });
});
