import { once } from "node:events";
import { Agent, request } from "node:https";
import { type AddressInfo, connect as connectSocket, createServer } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { selfSigned } from "@fairlead/certificates";
import { ErrorCode, FairleadError, GrpcConnection, Hop, ScopeSchema } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { RelayFixture, type ServedLane } from "../relay-fixture.ts";
import { LanePool } from "./lane-pool.ts";
import { localCredential } from "./local-credential.ts";
import type { LocalIdentity } from "./local-identity.ts";
import { LocalProxy } from "./local-proxy.ts";

const LOCAL_TOKEN = "local-token-of-43-characters-0123456789abcd";
const CALLERS_TOKEN = "callers.own.token";
const BEARER = "base64url.bearer.authorization.k8s.io.";
const encoded = (token: string) => BEARER + Buffer.from(token).toString("base64url");

let certificate: { cert: string; key: string };
let relay: RelayFixture;
let identity: LocalIdentity;
let pool: LanePool;
let proxy: LocalProxy;
let agent: Agent;
let callersToken: () => string;

beforeAll(async () => {
  certificate = await selfSigned({ commonName: "fairlead proxy prod", hosts: ["127.0.0.1", "localhost"], days: 1 });
});

beforeEach(async () => {
  relay = new RelayFixture();
  await relay.start();
  callersToken = () => CALLERS_TOKEN;
  identity = { ...certificate, localToken: LOCAL_TOKEN, port: await freePort() };
  pool = new LanePool(relay.url, () => new GrpcConnection(() => ({ host: "127.0.0.1", port: relay.port })));
  proxy = new LocalProxy("prod", identity, pool, () => callersToken());
  await proxy.start();
  agent = new Agent({ keepAlive: true, ca: certificate.cert });
});

afterEach(async () => {
  agent.destroy();
  proxy.stop();
  pool.close();
  await relay.stop();
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** A request as kubectl makes it, with changes; undefined takes a header out. */
async function send(
  headers: Record<string, string | string[] | undefined> = {},
  path = "/api",
  method = "GET",
  body = "",
) {
  const all: Record<string, string | string[] | undefined> = { Authorization: `Bearer ${LOCAL_TOKEN}`, ...headers };
  for (const [name, value] of Object.entries(all)) if (value === undefined) delete all[name];
  const sent = request({
    host: "127.0.0.1",
    servername: "localhost", // node would take it from Host
    port: identity.port,
    agent,
    path,
    method,
    headers: all,
  });
  sent.end(body);
  const [response] = await once(sent, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headers, body: text } as Answer;
}

/** A connection for bytes by hand. */
async function dial(): Promise<TLSSocket> {
  const socket = connectTls({
    host: "127.0.0.1",
    port: identity.port,
    ca: certificate.cert,
    ALPNProtocols: ["http/1.1"],
  });
  await once(socket, "secureConnect");
  return socket;
}

/** Sends bytes on a connection of their own and reads to its end. */
async function sendRaw(text: string): Promise<string> {
  const socket = await dial();
  socket.on("error", () => {});
  socket.write(text, "latin1");
  let answer = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
  await new Promise<void>((resolve) => socket.on("close", resolve));
  return answer;
}

const head = (...lines: string[]) => `${lines.join("\r\n")}\r\n\r\n`;
const GOOD_LINES = () => [
  `Host: 127.0.0.1:${identity.port}`,
  `Authorization: Bearer ${LOCAL_TOKEN}`,
  "Connection: close",
];

/** The Status that a refused request gets. kubectl prints its message. */
function statusOf(answer: string): { message: string; reason: string; code: number } {
  return JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));
}

describe("a request through the local proxy", () => {
  it("goes to the cluster with the caller's own token, and the local one stays here", async () => {
    const answering = send(
      { Accept: "application/json", "X-Repeat": ["a", "b"] },
      "/api/v1/pods?limit=5",
      "PATCH",
      "the body",
    );
    const lane = await relay.lanes.take();
    const asked = await lane.head();
    expect(asked).toMatchObject({
      cluster: "prod",
      method: "PATCH",
      target: "/api/v1/pods?limit=5",
      upgrade: "",
    });
    expect(asked.exchangeId).toHaveLength(16);
    const headers = asked.headers.map(({ name, value }) => [name, Buffer.from(value).toString()]);
    expect(headers).toEqual(
      expect.arrayContaining([
        ["Accept", "application/json"],
        ["X-Repeat", "a"],
        ["X-Repeat", "b"],
        ["Authorization", `Bearer ${CALLERS_TOKEN}`],
      ]),
    );
    const names = headers.map(([name]) => name?.toLowerCase());
    expect(names.filter((name) => name === "authorization")).toHaveLength(1);
    for (const local of ["host", "connection"]) expect(names).not.toContain(local);
    expect(JSON.stringify(headers)).not.toContain(LOCAL_TOKEN);
    lane.answer("the answer", 201);
    expect(await answering).toMatchObject({ status: 201, body: "the answer" });
  });

  it("says which client it is, and has no scope where its context has none", async () => {
    const answering = send();
    const lane = await relay.lanes.take();
    const asked = await lane.head();
    expect(asked.client).toMatch(/^fairlead\/\d+\.\d+\.\d+$/);
    expect(asked.scope).toBeUndefined();
    lane.answer("");
    await answering;
  });

  it("has the scope of its context's credential, whatever its own headers say", async () => {
    const scope = create(ScopeSchema, { readOnly: true, groups: { names: ["dev"] } });
    const Authorization = `Bearer ${localCredential(LOCAL_TOKEN, scope)}`;
    const answering = send({ Authorization, "Fairlead-Scope": "none", "Impersonate-Group": "admins" });
    const lane = await relay.lanes.take();
    const asked = await lane.head();
    expect(asked.scope).toEqual(scope);
    expect(asked.headers.map(({ value }) => Buffer.from(value).toString())).toContain(`Bearer ${CALLERS_TOKEN}`);
    expect(JSON.stringify(asked.headers.map(({ value }) => Buffer.from(value).toString()))).not.toContain("fls1");
    lane.answer("");
    await answering;
  });

  it("carries the caller's token as it is at that moment", async () => {
    const sendWith = (token: string) => {
      callersToken = () => token;
      return send();
    };
    const first = sendWith("first");
    const lane = await relay.lanes.take();
    const tokenOf = ({ headers }: Awaited<ReturnType<typeof lane.head>>) =>
      headers.filter(({ name }) => name === "Authorization").map(({ value }) => Buffer.from(value).toString());
    expect(tokenOf(await lane.head())).toEqual(["Bearer first"]);
    await until(() => pool.counts.idle_lanes === 1); // the one opened ahead: what comes back later is used first
    lane.answer("");
    await first;
    const second = sendWith("second");
    expect(tokenOf(await lane.head())).toEqual(["Bearer second"]);
    lane.answer("");
    await second;
  });

  it("gets its answer piece by piece, as it comes", async () => {
    const sent = request({
      host: "127.0.0.1",
      port: identity.port,
      agent,
      path: "/watch",
      headers: { Authorization: `Bearer ${LOCAL_TOKEN}` },
    });
    sent.end();
    const lane = await relay.lanes.take();
    await lane.head();
    lane.begin(200);
    const [response] = await once(sent, "response"); // before anything of the body
    lane.data(0, "one");
    expect(String((await once(response, "data"))[0])).toBe("one");
    lane.data(3, "two");
    expect(String((await once(response, "data"))[0])).toBe("two");
    lane.end(6);
    await once(response, "end");
  });

  it("leaves its lane to the next on the same connection", async () => {
    const answering = send();
    const lane = await relay.lanes.take();
    await lane.head();
    await until(() => pool.counts.idle_lanes === 1);
    lane.answer("1");
    await answering;
    for (let i = 2; i < 6; i++) {
      const next = send();
      await lane.head();
      lane.answer(String(i));
      expect((await next).body).toBe(String(i));
    }
    expect([relay.opened, proxy.socketCount]).toEqual([2, 1]); // one lane was opened ahead
  });

  it("that kubectl takes back resets its lane alone", async () => {
    const sent = request({
      host: "127.0.0.1",
      port: identity.port,
      agent,
      path: "/",
      headers: { Authorization: `Bearer ${LOCAL_TOKEN}` },
    });
    sent.on("error", () => {});
    sent.end();
    const lane = await relay.lanes.take();
    await lane.head();
    sent.destroy();
    expect(await lane.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
    await until(() => pool.counts.lanes === 1);
  });

  it("that is lost in the middle of its answer is cut: it cannot be taken for complete", async () => {
    const answering = send();
    const lane = await relay.lanes.take();
    await lane.head();
    lane.begin(200);
    lane.data(0, "half");
    lane.lane.reset(new FairleadError(ErrorCode.CONNECTION_LOST, Hop.AGENT, "lost"));
    await expect(answering).rejects.toThrow(/aborted|reset/i);
  });

  it("may have a head of nearly 1 MiB", async () => {
    const answering = send({ "X-Long": "x".repeat(1_000_000) });
    const lane = await relay.lanes.take();
    const { headers } = await lane.head();
    expect(headers.find(({ name }) => name === "X-Long")?.value).toHaveLength(1_000_000);
    lane.answer("");
    expect((await answering).status).toBe(200);
  });

  it("may have 3,000 headers", async () => {
    const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`X-Header-${i}`, "1"]));
    const answering = send(many);
    const lane = await relay.lanes.take();
    expect((await lane.head()).headers.filter(({ name }) => name.startsWith("X-Header-"))).toHaveLength(3_000);
    lane.answer("");
    await answering;
  });
});

describe("a request that the local proxy refuses never leaves the machine", () => {
  afterEach(() => {
    expect(relay.opened).toBe(0);
  });

  it.each<[what: string, headers: Record<string, string | undefined>, status: number, says: RegExp]>([
    ["without token", { Authorization: undefined }, 401, /local credential is missing or wrong/],
    ["with another token", { Authorization: "Bearer wrong" }, 401, /local credential is missing or wrong/],
    [
      "with as many characters that are more bytes",
      { Authorization: `Bearer ${"é".repeat(43)}` },
      401,
      /local credential/,
    ],
    ["of a web page", { Origin: "https://evil.example" }, 403, /web pages are refused/],
    ["after DNS rebinding", { Host: "evil.example" }, 403, /Host header is not this proxy's/],
  ])("%s", async (_what, headers, status, says) => {
    const answer = await send(headers);
    expect(answer.status).toBe(status);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.headers["fairlead-error"]).toMatch(/^(TOKEN_REFUSED|ACCESS_DENIED); hop="client proxy"$/);
    const body = JSON.parse(answer.body);
    expect(body).toMatchObject({ kind: "Status", apiVersion: "v1", status: "Failure", code: status });
    expect(body.message).toMatch(/^fairlead: client proxy: /);
    expect(body.message).toMatch(says);
    expect(answer.body).not.toContain(LOCAL_TOKEN);
  });

  it("when there is no token of the caller's, with what to do", async () => {
    callersToken = () => {
      throw new FairleadError(
        ErrorCode.TOKEN_REFUSED,
        Hop.CLIENT_PROXY,
        "there is no token in x; give one with --token-file",
      );
    };
    const answer = await send();
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.body).message).toMatch(/give one with --token-file/);
  });

  it.each<[what: string, lines: () => string[]]>([
    ["two Hosts", () => ["GET / HTTP/1.1", ...GOOD_LINES(), "Host: evil.example"]],
    ["the same Host twice", () => ["GET / HTTP/1.1", ...GOOD_LINES(), `Host: 127.0.0.1:${identity.port}`]],
    ["two Authorizations", () => ["GET / HTTP/1.1", ...GOOD_LINES(), "Authorization: Bearer other"]],
    ["two Authorizations in two cases", () => ["GET / HTTP/1.1", ...GOOD_LINES(), "AUTHORIZATION: Basic x"]],
    ["an absolute target", () => ["GET http://evil.example/ HTTP/1.1", ...GOOD_LINES()]],
    ["a target without slash", () => ["GET api HTTP/1.1", ...GOOD_LINES()]],
    ["the target *", () => ["OPTIONS * HTTP/1.1", ...GOOD_LINES()]],
    ["a backslash in the target", () => ["GET /\\evil HTTP/1.1", ...GOOD_LINES()]],
    [
      "Content-Length and Transfer-Encoding",
      () => ["POST / HTTP/1.1", ...GOOD_LINES(), "Content-Length: 1", "Transfer-Encoding: chunked"],
    ],
    ["two Content-Lengths", () => ["POST / HTTP/1.1", ...GOOD_LINES(), "Content-Length: 1", "Content-Length: 2"]],
    ["a Content-Length that is no number", () => ["POST / HTTP/1.1", ...GOOD_LINES(), "Content-Length: +1"]],
    ["a folded header", () => ["GET / HTTP/1.1", ...GOOD_LINES(), "X-A: b", " c"]],
    ["a header without name", () => ["GET / HTTP/1.1", ...GOOD_LINES(), ": x"]],
    ["a blank before the colon", () => ["GET / HTTP/1.1", ...GOOD_LINES(), "X-A : b"]],
    ["NUL in a header", () => ["GET / HTTP/1.1", ...GOOD_LINES(), "X-A: a\0b"]],
    ["a bare carriage return in a header", () => ["GET / HTTP/1.1", ...GOOD_LINES(), "X-A: a\rb"]],
    ["no Host", () => ["GET / HTTP/1.1", `Authorization: Bearer ${LOCAL_TOKEN}`, "Connection: close"]],
    ["a method that is none", () => ["G T / HTTP/1.1", ...GOOD_LINES()]],
    ["another version", () => ["GET / HTTP/3.0", ...GOOD_LINES()]],
    ["HTTP/2's preface", () => ["PRI * HTTP/2.0", "", "SM"]],
  ])("with %s: 400, and the connection is closed", async (_what, lines) => {
    const answer = await sendRaw(head(...lines()));
    expect(answer).toMatch(/^HTTP\/1\.1 40[03] /);
    expect(answer).not.toContain(LOCAL_TOKEN);
  });

  it("that is garbage: 400 as a Status that names the client proxy", async () => {
    const answer = await sendRaw("this is not HTTP\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toMatch(/\r\nFairlead-Error: MALFORMED_REQUEST; hop="client proxy"\r\n/);
    expect(answer).toMatch(/\r\nConnection: close\r\n/);
    expect(statusOf(answer)).toMatchObject({ kind: "Status", reason: "BadRequest", code: 400 });
    expect(statusOf(answer).message).toBe("fairlead: client proxy: the request is not valid HTTP/1.1");
  });

  it("with a head of more than 1 MiB: 431 as a Status that says what to do", async () => {
    const socket = await dial();
    socket.on("error", () => {});
    let answer = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
    socket.write(head("GET / HTTP/1.1", ...GOOD_LINES(), `X-Long: ${"x".repeat(1_100_000)}`));
    await new Promise<void>((resolve) => socket.on("close", resolve));
    expect(answer).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
    expect(answer).toMatch(/\r\nFairlead-Error: HEAD_TOO_LARGE; hop="client proxy"\r\n/);
    expect(statusOf(answer)).toMatchObject({ kind: "Status", code: 431 });
    expect(statusOf(answer).message).toMatch(/larger than 1 MiB; shorten the command or the token/);
  });

  it("by plain HTTP: the connection is closed, and the proxy lives on", async () => {
    const plain = connectSocket(identity.port, "127.0.0.1");
    plain.on("error", () => {});
    plain.write(head("GET / HTTP/1.1", ...GOOD_LINES()));
    plain.resume();
    await new Promise<void>((resolve) => plain.on("close", resolve));
    expect((await send({ Authorization: undefined })).status).toBe(401);
  });

  it("because it asks for an upgrade without token: a Status, and the connection is closed", async () => {
    const answer = await sendRaw(
      head("GET /exec HTTP/1.1", `Host: 127.0.0.1:${identity.port}`, "Connection: Upgrade", "Upgrade: websocket"),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(statusOf(answer)).toMatchObject({ kind: "Status", code: 401 });
    expect(answer.length).toBeLessThan(1_024); // a refused handshake is read no further
  });

  it("because it asks for an upgrade from a web page, though with the token", async () => {
    const lines = ["Connection: Upgrade", "Upgrade: websocket", "Origin: https://evil.example"];
    const answer = await sendRaw(head("GET /exec HTTP/1.1", ...GOOD_LINES().slice(0, 2), ...lines));
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  });
});

describe("what the relay refuses", () => {
  it.each<[code: ErrorCode, status: number]>([
    [ErrorCode.LIMIT_EXCEEDED, 429],
    [ErrorCode.ACCESS_DENIED, 403],
  ])("with code %i is told as a Status with %i", async (code, status) => {
    relay.plan = [new FairleadError(code, Hop.RELAY, "the relay says no")];
    const answer = await send();
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body).message).toBe("fairlead: relay: the relay says no");
  });

  it("in an error frame is told with its hop", async () => {
    const answering = send();
    const lane = await relay.lanes.take();
    await lane.head();
    const fault = new FairleadError(
      ErrorCode.AGENT_NOT_CONNECTED,
      Hop.AGENT,
      "the agent of the cluster prod is not connected",
    );
    lane.lane.sendResponse({ case: "error", value: fault.toMessage() });
    const answer = await answering;
    expect(answer).toMatchObject({ status: 503, headers: { "fairlead-error": 'AGENT_NOT_CONNECTED; hop="agent"' } });
    expect(JSON.parse(answer.body).message).toMatch(/^fairlead: agent: the agent of the cluster prod/);
  });
});

describe("a newer token of the caller's", () => {
  const expiringIn = (seconds: number) => {
    const claims = { exp: Math.ceil(Date.now() / 1_000) + seconds };
    return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
  };

  it("is sent in time for what is under way, requests and upgrades, and for nothing that is over", async () => {
    const [first, newer] = [expiringIn(3), expiringIn(600)];
    callersToken = () => first;
    const credentials = new Map<string, string>();
    const take = async () => {
      const lane = await relay.lanes.take();
      return { lane, id: Buffer.from((await lane.head()).exchangeId).toString("hex") };
    };
    const upgrade = async () => {
      const raw = connectSocket(identity.port, "127.0.0.1");
      const socket = connectTls({ socket: raw, ca: certificate.cert });
      socket.on("error", () => {});
      await once(socket, "secureConnect");
      socket.write(
        head("GET /exec HTTP/1.1", ...GOOD_LINES().slice(0, 2), "Connection: Upgrade", "Upgrade: websocket"),
      );
      const { lane, id } = await take();
      lane.begin(101, "websocket");
      await once(socket, "data");
      return { raw, lane, id };
    };
    const watched = send({}, "/watch").catch(() => {});
    const watch = await take();
    watch.lane.begin(200);
    const exec = await upgrade();
    const gone = await upgrade();
    gone.raw.resetAndDestroy();
    await gone.lane.closes.take();
    const answered = send({}, "/get");
    const get = await take();
    get.lane.answer("");
    await answered;
    callersToken = () => newer;
    const answerAll = async (lane: ServedLane) => {
      for (;;) {
        const frame = await lane.requests.take();
        if (frame.case !== "credential") continue;
        credentials.set(Buffer.from(frame.value.exchangeId).toString("hex"), frame.value.token);
        lane.answer("", 204);
      }
    };
    void answerAll(get.lane);
    const serveMore = async () => {
      for (;;) void answerAll(await relay.lanes.take());
    };
    void serveMore();
    await new Promise((resolve) => setTimeout(resolve, 4_500)); // beyond the first token's end: nothing more comes
    expect(Object.fromEntries(credentials)).toEqual({ [watch.id]: newer, [exec.id]: newer });
    exec.raw.resetAndDestroy();
    proxy.stop();
    await watched;
  });
});

describe("an upgrade through the local proxy", () => {
  it("by the bearer subprotocol is let in, and the subprotocol stays here", async () => {
    const socket = await dial();
    const protocols = [
      `Sec-WebSocket-Protocol: ${encoded(LOCAL_TOKEN)}`,
      "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io",
    ];
    socket.write(
      head(
        "GET /exec?command=sh HTTP/1.1",
        `Host: localhost:${identity.port}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        ...protocols,
      ),
    );
    const lane = await relay.lanes.take();
    const asked = await lane.head();
    expect(asked).toMatchObject({ upgrade: "websocket", target: "/exec?command=sh" });
    const headers = asked.headers.map(({ name, value }) => [name, Buffer.from(value).toString()]);
    expect(headers.filter(([name]) => name?.toLowerCase() === "sec-websocket-protocol")).toEqual([
      ["Sec-WebSocket-Protocol", "v5.channel.k8s.io, v4.channel.k8s.io"],
    ]);
    expect(headers).toContainEqual(["Authorization", `Bearer ${CALLERS_TOKEN}`]);
    expect(JSON.stringify(headers)).not.toContain(Buffer.from(LOCAL_TOKEN).toString("base64url"));
    lane.begin(101, "websocket");
    expect(String((await once(socket, "data"))[0])).toMatch(/^HTTP\/1\.1 101 /);
    socket.write("ping");
    const ping = await lane.requests.take();
    expect(ping.case === "data" && Buffer.from(ping.value.data).toString()).toBe("ping");
    lane.data(0, "pong");
    expect(String((await once(socket, "data"))[0])).toBe("pong");
    socket.end(); // a half-close: the other direction goes on
    expect((await lane.requests.take()).case).toBe("end");
    lane.data(4, "more");
    expect(String((await once(socket, "data"))[0])).toBe("more");
    lane.end(8);
    await once(socket, "close");
    await until(() => pool.counts.idle_lanes === pool.counts.lanes);
  });

  it("that is reset by kubectl resets its lane", async () => {
    const raw = connectSocket(identity.port, "127.0.0.1");
    const socket = connectTls({ socket: raw, ca: certificate.cert });
    await once(socket, "secureConnect");
    socket.write(head("GET /exec HTTP/1.1", ...GOOD_LINES().slice(0, 2), "Connection: Upgrade", "Upgrade: SPDY/3.1"));
    const lane = await relay.lanes.take();
    expect((await lane.head()).upgrade).toBe("SPDY/3.1");
    lane.begin(101, "SPDY/3.1");
    await once(socket, "data");
    raw.resetAndDestroy();
    expect(await lane.closes.take()).toBeDefined();
  });

  it("behind a request that is not answered yet ends the connection: it has no place for two answers", async () => {
    const socket = await dial();
    socket.on("error", () => {});
    const first = head("GET /slow HTTP/1.1", ...GOOD_LINES().slice(0, 2));
    socket.write(
      first + head("GET /exec HTTP/1.1", ...GOOD_LINES().slice(0, 2), "Connection: Upgrade", "Upgrade: websocket"),
    );
    let answer = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
    await once(socket, "close");
    expect(answer).toBe("");
  });

  it("behind a request that is answered goes its way on the same connection", async () => {
    const socket = await dial();
    socket.setEncoding("latin1");
    socket.write(head("GET /first HTTP/1.1", ...GOOD_LINES().slice(0, 2)));
    const lane = await relay.lanes.take();
    await lane.head();
    await until(() => pool.counts.idle_lanes === 1);
    lane.answer("first");
    expect(String((await once(socket, "data"))[0])).toMatch(/^HTTP\/1\.1 200 /);
    socket.write(head("GET /exec HTTP/1.1", ...GOOD_LINES().slice(0, 2), "Connection: Upgrade", "Upgrade: websocket"));
    expect((await lane.head()).upgrade).toBe("websocket");
    lane.begin(101, "websocket");
    let answer = "";
    socket.on("data", (chunk: string) => (answer += chunk));
    await until(() => answer.includes("HTTP/1.1 101"));
    socket.destroy();
  });

  it("that the cluster refuses is answered as it says, and the connection is closed", async () => {
    const socket = await dial();
    socket.write(head("GET /exec HTTP/1.1", ...GOOD_LINES().slice(0, 2), "Connection: Upgrade", "Upgrade: websocket"));
    const lane = await relay.lanes.take();
    await lane.head();
    lane.answer("the pod is gone", 404);
    let answer = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
    await once(socket, "close");
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    expect(answer).toMatch(/\r\nthe pod is gone\r\n0\r\n/);
    await until(() => pool.counts.idle_lanes === pool.counts.lanes);
  });
});

describe("the local proxy", () => {
  it("listens on 127.0.0.1 and on no other address of the machine", async () => {
    for (const address of ["127.0.0.2", "::1"]) {
      const socket = connectSocket(identity.port, address);
      const [error] = await once(socket, "error");
      expect(error.code).toMatch(/ECONNREFUSED|EADDRNOTAVAIL/);
    }
  });

  it("offers no HTTP/2, which kubectl would take and upgrades could not use", async () => {
    const socket = connectTls({
      host: "127.0.0.1",
      port: identity.port,
      ca: certificate.cert,
      ALPNProtocols: ["h2", "http/1.1"],
    });
    await once(socket, "secureConnect");
    expect(socket.alpnProtocol).toBe("http/1.1");
    socket.destroy();
  });

  it("cannot start where another one runs, and says what to do", async () => {
    const second = new LocalProxy("prod", identity, pool, callersToken);
    const started = second.start();
    await expect(started).rejects.toMatchObject({ code: ErrorCode.ALREADY_EXISTS, hop: Hop.CLIENT_PROXY });
    await expect(started).rejects.toThrow(
      new RegExp(`port ${identity.port} of this machine is taken, perhaps by another \`fairlead proxy prod\`.*--port`),
    );
    second.stop();
  });

  it("takes up a certificate and a credential made anew, and what is open stays", async () => {
    const open = await dial();
    const tls = await selfSigned({ commonName: "fairlead proxy prod", hosts: ["127.0.0.1", "localhost"], days: 1 });
    proxy.renew({ ...identity, ...tls, localToken: `new-${LOCAL_TOKEN}` });
    await expect(dial()).rejects.toThrow(/self-signed certificate/);
    certificate = tls;
    agent.destroy();
    agent = new Agent({ ca: tls.cert });
    const answer = await sendRaw(head("GET / HTTP/1.1", ...GOOD_LINES()));
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(open.destroyed).toBe(false);
    open.destroy();
    const answering = send({ Authorization: `Bearer new-${LOCAL_TOKEN}` });
    expect((await (await relay.lanes.take()).head()).cluster).toBe("prod");
    proxy.stop();
    await answering.catch(() => {});
  });

  it("ends all connections and lanes when it stops", async () => {
    const answering = send().catch((error: Error) => error.message);
    const lane = await relay.lanes.take();
    await lane.head();
    proxy.stop();
    pool.close();
    expect(await answering).toMatch(/hang up|reset|aborted/i);
    expect(await lane.closes.take()).toBeDefined();
    await until(() => proxy.socketCount === 0 && pool.counts.lanes === 0);
  });
});
