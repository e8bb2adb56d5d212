import { create } from "@bufbuild/protobuf";
import {
  DataSchema,
  EndSchema,
  HeaderSchema,
  type RequestFrame,
  type RequestHead,
  ResponseHeadSchema,
  WholeResponseSchema,
} from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture, type ServedLane } from "./agent-fixture.ts";
import { type DirectClient, http1Client, http2Client, RawClient, RawHttp2 } from "./direct/direct-fixture.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

let tls: RelayTls;
let relay: RelayFixture;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  tls = await issueRelayTls();
});
beforeEach(async () => {
  relay = await RelayFixture.start(tls);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await relay.close();
});

/** A cluster that Jane may reach, whose agent offers lanes. */
async function lanesOf(cluster: string, count = 1): Promise<ServedLane[]> {
  const identity = await relay.makeCluster(cluster);
  return (await AgentFixture.attach(relay.connect(), identity, count)).lanes;
}
async function laneOf(cluster = "prod"): Promise<ServedLane> {
  const [lane] = await lanesOf(cluster);
  if (lane === undefined) throw new Error("no lane");
  return lane;
}

const bearer = (token = relay.token("jane")) => ({ authorization: `Bearer ${token}` });
const header = (name: string, value: string) => create(HeaderSchema, { name, value: Buffer.from(value, "latin1") });
const headOf = (frame: RequestFrame["frame"]): RequestHead => {
  const head = frame.case === "whole" ? frame.value.head : frame.case === "head" ? frame.value : undefined;
  if (head === undefined) throw new Error(`a ${frame.case} came`);
  return head;
};
const headersOf = (frame: RequestFrame["frame"]): [string, string][] =>
  headOf(frame).headers.map(({ name, value }) => [name.toLowerCase(), Buffer.from(value).toString("latin1")]);

/** Begins the answer to what came, with a body that is still to come. */
function begin(lane: ServedLane, frame: RequestFrame["frame"], headers: [string, string][] = []): void {
  const { exchangeId } = headOf(frame);
  const value = { exchangeId, status: 200, reason: "OK", headers: headers.map(([name, text]) => header(name, text)) };
  lane.lane.sendResponse({ case: "head", value: create(ResponseHeadSchema, value) });
}
function data(lane: ServedLane, text: string, offset = 0): void {
  lane.lane.sendResponse({
    case: "data",
    value: create(DataSchema, { offset: BigInt(offset), data: Buffer.from(text) }),
  });
}
function end(lane: ServedLane, offset: number, trailers: [string, string][] = []): void {
  const lines = trailers.map(([name, text]) => header(name, text));
  lane.lane.sendResponse({ case: "end", value: create(EndSchema, { offset: BigInt(offset), trailers: lines }) });
}
/** Answers what came in one frame. */
function answer(lane: ServedLane, frame: RequestFrame["frame"], body: string, headers: [string, string][] = []): void {
  const { exchangeId } = headOf(frame);
  const lines = headers.map(([name, text]) => header(name, text));
  const head = create(ResponseHeadSchema, { exchangeId, status: 200, reason: "OK", headers: lines });
  lane.lane.sendResponse({ case: "whole", value: create(WholeResponseSchema, { head, body: Buffer.from(body) }) });
}

describe.each<[version: string, open: () => DirectClient]>([
  ["HTTP/1.1", () => http1Client(relay)],
  ["HTTP/2", () => http2Client(relay)],
])("a request to a cluster's path, by %s", (version, open) => {
  let client: DirectClient;
  beforeEach(() => {
    client = open();
    ends.push(() => client.close());
  });

  it("reaches the cluster without the prefix, as the caller that its token names", async () => {
    const lane = await laneOf();
    const answered = client.ask({
      path: "/clusters/prod/api/v1/pods?limit=5",
      headers: { ...bearer(), accept: "a/b" },
    });
    const frame = await lane.requests.take();
    expect(frame.case).toBe("whole");
    expect(headOf(frame)).toMatchObject({
      cluster: "prod",
      method: "GET",
      target: "/api/v1/pods?limit=5",
      upgrade: "",
    });
    expect(headOf(frame).client).toMatch(/^fairlead-relay\/\d/);
    const names = headersOf(frame).map(([name]) => name);
    expect(names).toEqual(expect.arrayContaining(["authorization", "accept"]));
    expect(names.filter((name) => name.startsWith(":") || name === "host" || name === "connection")).toEqual([]);
    answer(lane, frame, "pods", [["Content-Type", "text/plain"]]);
    expect(await answered).toMatchObject({ status: 200, body: "pods", headers: { "content-type": "text/plain" } });
  });

  it.each([
    ["/clusters/prod", "/"],
    ["/clusters/prod/", "/"],
    ["/clusters/prod?pretty", "/?pretty"],
    ["/clusters/prod//evil/x", "//evil/x"],
    ["/clusters/prod/a%2fb", "/a%2fb"],
    ["/clusters/prod/api?x=../../stage", "/api?x=../../stage"],
    ["/clusters/prod/clusters/stage/api", "/clusters/stage/api"],
    [
      "/clusters/prod/fairlead.tunnel.v1alpha1.AccessService/Exchange",
      "/fairlead.tunnel.v1alpha1.AccessService/Exchange",
    ],
  ])("%s is %s there, and nowhere else", async (path, target) => {
    const lane = await laneOf();
    const other = await laneOf("stage");
    const answered = client.ask({ path, headers: bearer() });
    const frame = await lane.requests.take();
    expect(headOf(frame)).toMatchObject({ cluster: "prod", target });
    answer(lane, frame, "");
    expect(await answered).toMatchObject({ status: 200 });
    expect(other.requests.size).toBe(0);
  });

  it.each([
    "/clusters/",
    "/clusters//prod/api",
    "/clusters/../api",
    "/clusters/%2e%2e/api",
    "/clusters/prod%2f..%2fstage/api",
    "/clusters/PROD/api",
    "/clusters/prod.stage/api",
    "/clusters/prod@evil/api",
    "/clusters/prod:443/api",
    "/clusters/prod\\..\\stage/api",
    "/clusters/prod/\\evil",
    "/clusters/prod/../stage/api",
    "/clusters/prod/..",
    "/clusters/prod/./api",
    "/clusters/prod/%2e%2e/stage/api",
    "/clusters/prod/%2E%2E/stage/api",
    "/clusters/prod/.%2e/stage/api",
    "/clusters/prod/a/..%2f..%2fstage/api",
    "/clusters/prod/a/..%5c..%5cstage/api",
    `/clusters/${"x".repeat(64)}/api`,
  ])("%s is refused, whoever asks", async (path) => {
    const [lane, other] = [await laneOf(), await laneOf("stage")];
    const answer = await client.ask({ path, headers: bearer() });
    expect(answer.status).toBe(400);
    expect(answer.headers["fairlead-error"]).toBe('MALFORMED_REQUEST; hop="relay"');
    expect(JSON.parse(answer.body)).toMatchObject({ kind: "Status", code: 400, reason: "BadRequest" });
    expect([lane.requests.size, other.requests.size]).toEqual([0, 0]);
  });

  it.each([
    "/Clusters/prod/api",
    "/clusters",
    "//clusters/prod/api",
    "/./clusters/prod/api",
    "/x/../clusters/prod/api",
  ])("%s leads to no cluster", async (path) => {
    const lane = await laneOf();
    expect((await client.ask({ path, headers: bearer() })).status).toBe(404);
    expect(lane.requests.size).toBe(0);
  });

  it.each<[what: string, token: () => string | undefined]>([
    ["no token", () => undefined],
    ["an expired one", () => relay.issuer.token({ sub: "jane", exp: Math.floor(Date.now() / 1000) - 60 })],
    ["one for another audience", () => relay.issuer.token({ sub: "jane", aud: "other" })],
    ["one that is badly signed", () => `${relay.token("jane").slice(0, -4)}AAAA`],
    ["no token but a word", () => "word"],
    ["one of 60,000 bytes", () => "x".repeat(60_000)],
  ])("with %s gets a 401 and never a 403, in every place, and the cluster hears nothing", async (_what, token) => {
    const lane = await laneOf();
    const value = token();
    const headers = value === undefined ? {} : bearer(value);
    for (const path of ["/api/v1/pods", "/openapi/v2", "/api?timeout=32s"]) {
      const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
      const answer = await client.ask({ path: `/clusters/prod${path}`, headers: { ...headers, accept } });
      expect(answer.status).toBe(401);
      expect(answer.headers["fairlead-error"]).toBe('TOKEN_REFUSED; hop="relay"');
      expect(JSON.parse(answer.body)).toMatchObject({ kind: "Status", reason: "Unauthorized", code: 401 });
    }
    expect(lane.requests.size).toBe(0);
  });

  it("counts no other scheme than Bearer", async () => {
    await laneOf();
    const authorization = `Basic ${Buffer.from(relay.token("jane")).toString("base64")}`;
    expect((await client.ask({ path: "/clusters/prod/api", headers: { authorization } })).status).toBe(401);
  });

  it("to a cluster that is not there, or not hers, gets the same 503", async () => {
    await relay.makeCluster("hidden", []);
    const [missing, hidden] = await Promise.all(
      ["missing", "hidden"].map((name) => client.ask({ path: `/clusters/${name}/api`, headers: bearer() })),
    );
    expect([missing?.status, hidden?.status]).toEqual([503, 503]);
    expect(hidden?.body).toBe(missing?.body.replaceAll("missing", "hidden"));
    expect(missing?.headers["fairlead-error"]).toBe('CLUSTER_UNKNOWN; hop="relay"');
  });

  it("passes Impersonate headers on as they are, for the cluster to refuse, and what Connection names it cannot strip", async () => {
    const lane = await laneOf();
    const answered = client.ask({ path: "/clusters/prod/api", headers: { ...bearer(), "impersonate-user": "root" } });
    const frame = await lane.requests.take();
    expect(headersOf(frame)).toContainEqual(["impersonate-user", "root"]);
    answer(lane, frame, "");
    await answered;
  });

  it("carries a body both ways, with trailers, and each of repeated headers as its own", async () => {
    const lane = await laneOf();
    const body = "x".repeat(200_000);
    const answered = client.ask({ path: "/clusters/prod/api", method: "POST", headers: bearer(), body });
    let frame = await lane.requests.take();
    const opening = frame;
    let got = "";
    while (frame.case !== "end") {
      if (frame.case === "data") got += Buffer.from(frame.value.data).toString();
      frame = await lane.requests.take();
    }
    expect(got + Buffer.from(frame.value.data).toString()).toBe(body);
    begin(lane, opening, [
      ["Warning", '299 - "a, b"'],
      ["Warning", '299 - "c"'],
      ["X-Bytes", "caf\u00e9"],
      ...(version === "HTTP/1.1" ? ([["Trailer", "X-Sum"]] as [string, string][]) : []),
    ]);
    data(lane, "first,");
    data(lane, "second", 6);
    end(lane, 12, [["X-Sum", "7"]]);
    const { headers, body: text, trailers } = await answered;
    expect(text).toBe("first,second");
    expect(trailers["x-sum"]).toBe("7");
    expect(headers.warning).toBe('299 - "a, b", 299 - "c"');
  });

  it("has no body in an answer to HEAD", async () => {
    const lane = await laneOf();
    const answered = client.ask({ path: "/clusters/prod/api", method: "HEAD", headers: bearer() });
    const frame = await lane.requests.take();
    answer(lane, frame, "", [["Content-Length", "5"]]);
    expect(await answered).toMatchObject({ status: 200, body: "", headers: { "content-length": "5" } });
  });

  it("over a limit gets a 429 with Retry-After, which says whose limit it is", async () => {
    await relay.close();
    relay = await RelayFixture.start(tls, { exchangesPerUser: 1 });
    client = open();
    ends.push(() => client.close());
    const lane = await laneOf();
    const first = client.ask({ path: "/clusters/prod/api", headers: bearer() });
    const frame = await lane.requests.take();
    const refused = await client.ask({ path: "/clusters/prod/api", headers: bearer() });
    expect(refused).toMatchObject({ status: 429, headers: { "retry-after": "1" } });
    expect(JSON.parse(refused.body).message).toMatch(/^fairlead: relay: .*limits\.exchangesPerUser/);
    answer(lane, frame, "");
    await first;
    const next = client.ask({ path: "/clusters/prod/api", headers: bearer() });
    answer(lane, await lane.requests.take(), "again");
    expect((await next).body).toBe("again");
  });

  it("tells what each hop took, if it is asked for, the relay once", async () => {
    const lane = await laneOf();
    const answered = client.ask({ path: "/clusters/prod/api", headers: { ...bearer(), "fairlead-timings": "1" } });
    const frame = await lane.requests.take();
    expect(headOf(frame).wantsTimings).toBe(true);
    expect(headersOf(frame).map(([name]) => name)).not.toContain("fairlead-timings");
    answer(lane, frame, "");
    expect((await answered).headers["server-timing"]).toMatch(/^relay;dur=[\d.]+$/);
  });

  it("is refused everywhere when it is switched off", async () => {
    relay.direct = { enabled: false };
    await relay.stop(0);
    await relay.startAgain();
    client = open();
    ends.push(() => client.close());
    await laneOf();
    expect((await client.ask({ path: "/clusters/prod/api", headers: bearer() })).status).toBe(404);
  });
});

describe("a watch", () => {
  it.each<[string, () => DirectClient]>([
    ["HTTP/1.1", () => http1Client(relay)],
    ["HTTP/2", () => http2Client(relay)],
  ])("by %s ends with an ERROR event when its rule is gone, and is cut, not ended", async (_version, open) => {
    const client = open();
    ends.push(() => client.close());
    const lane = await laneOf();
    const path = "/clusters/prod/api/v1/pods?watch=true";
    const answered = client.ask({ path, headers: bearer() }).then(
      () => "an end",
      (error: Error) => error.message,
    );
    begin(lane, await lane.requests.take(), [["Content-Type", "application/json"]]);
    data(lane, '{"type":"ADDED"}\n');
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    expect(await answered).not.toBe("an end");
  });

  it("by HTTP/2 has its head at once, and hears of a reset", async () => {
    const client = http2Client(relay);
    ends.push(() => client.close());
    const lane = await laneOf();
    const stream = client.session.request({ ":path": "/clusters/prod/api/v1/pods?watch=1", ...bearer() });
    stream.on("error", () => {});
    const head = new Promise((resolve) => stream.once("response", resolve));
    begin(lane, await lane.requests.take(), [["Content-Type", "application/json"]]);
    expect(await head).toMatchObject({ ":status": 200 });
    let text = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const closed = new Promise((resolve) => stream.once("close", resolve));
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    await closed;
    expect(JSON.parse(text)).toMatchObject({ type: "ERROR", object: { kind: "Status", code: 503 } });
    expect(stream.rstCode).toBe(2);
  });

  it("of a client that goes away ends at the cluster too", async () => {
    const client = http2Client(relay);
    ends.push(() => client.close());
    const lane = await laneOf();
    const stream = client.session.request({ ":path": "/clusters/prod/api/v1/pods?watch=1", ...bearer() });
    stream.on("error", () => {});
    begin(lane, await lane.requests.take());
    await new Promise((resolve) => stream.once("response", resolve));
    stream.close(8);
    await lane.closes.take();
    expect(relay.counts).toMatchObject({ exchanges: 0, admitted_exchanges: 0 });
  });
});

describe("a body that is broken off", () => {
  it.each([
    ["an error", 2],
    ["a cancellation", 8],
    ["no error", 0],
  ])("by a reset of HTTP/2 with %s is never passed on as complete", async (_what, code) => {
    const lane = await laneOf();
    const frames = await RawHttp2.open(relay);
    ends.push(() => frames.socket.destroy());
    const asked = { ":method": "POST", ":scheme": "https", ":authority": "relay", ":path": "/clusters/prod/api" };
    frames.headers({ ...asked, ...bearer() });
    frames.data("half a");
    expect((await lane.requests.take()).case).toBe("head");
    expect((await lane.requests.take()).case).toBe("data");
    frames.reset(code);
    await lane.closes.take();
    expect(lane.requests.size).toBe(0);
  });

  it("by the end of an HTTP/2 connection is never passed on as complete", async () => {
    const client = http2Client(relay);
    const lane = await laneOf();
    const stream = client.session.request({ ":path": "/clusters/prod/api", ":method": "POST", ...bearer() });
    stream.on("error", () => {});
    stream.write("half a");
    expect((await lane.requests.take()).case).toBe("head");
    expect((await lane.requests.take()).case).toBe("data");
    client.session.socket.destroy();
    await lane.closes.take();
    expect(lane.requests.size).toBe(0);
  });

  it("by the end of an HTTP/1.1 connection is never passed on as complete", async () => {
    const raw = await RawClient.open(relay);
    const lane = await laneOf();
    const lines = ["Host: relay", `Authorization: Bearer ${relay.token("jane")}`, "Content-Length: 10"];
    raw.send("POST /clusters/prod/api HTTP/1.1", ...lines);
    raw.socket.write("half");
    const opening = await lane.requests.take();
    expect(opening.case).toBe("head");
    raw.socket.destroy();
    await lane.closes.take();
    while (lane.requests.size > 0) expect((await lane.requests.take()).case).toBe("data");
  });
});
