import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ErrorCode, errorMapping, FairleadError, Hop, MAX_STATUS_BYTES, stopped } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { explainLoss, sendStatus, sentence, statusBody } from "./status.ts";

const CODES = Object.values(ErrorCode).filter((code): code is ErrorCode => typeof code === "number");

/** Has a server answer by `answer` and returns what a client gets. */
async function answered(
  answer: (response: ServerResponse) => void,
  accept?: string,
  path = "/",
): Promise<IncomingMessage & { body: string }> {
  const server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const response = await new Promise<IncomingMessage>((resolve) => {
    get({ port, path, host: "127.0.0.1", agent: false, headers: accept === undefined ? {} : { accept } }, resolve);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return Object.assign(response, { body: Buffer.concat(chunks).toString() });
}

describe("a Status", () => {
  it("is a Kubernetes Status whose message names the hop", () => {
    const error = new FairleadError(ErrorCode.AGENT_NOT_CONNECTED, Hop.AGENT, "not connected; check that it runs");
    expect(JSON.parse(statusBody(error))).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: "fairlead: agent: not connected; check that it runs",
      reason: "ServiceUnavailable",
      code: 503,
    });
  });

  it.each([
    ["plain", "x"],
    ["two-byte", "é"],
    ["four-byte", "🚢"],
    ["quoted", '"'],
    ["escaped", "\\"],
    ["line", "\n"],
    ["control", "\x01"],
    ["mixed", 'a"\x01é🚢\\'],
  ])("stays under 1,024 bytes for the longest sentence of %s characters, for every code and hop", (_kind, text) => {
    for (const code of CODES) {
      for (const hop of [Hop.IDENTITY_PROXY, Hop.RELAY, Hop.UNSPECIFIED]) {
        const body = statusBody(new FairleadError(code, hop, text.repeat(800)));
        expect(Buffer.byteLength(body)).toBeLessThan(MAX_STATUS_BYTES);
        expect(Buffer.byteLength(body)).toBeGreaterThan(700);
        expect(JSON.parse(body)).toMatchObject({ kind: "Status", code: errorMapping(code).http });
        expect(body.isWellFormed()).toBe(true);
      }
    }
  });

  it("that is cut says so, and one that fits is not cut", () => {
    const quotes = new FairleadError(ErrorCode.INTERNAL, Hop.RELAY, '"'.repeat(700));
    expect(JSON.parse(statusBody(quotes)).message).toMatch(/^fairlead: relay: "{300,}…$/);
    const plain = new FairleadError(ErrorCode.INTERNAL, Hop.IDENTITY_PROXY, "x".repeat(700));
    expect(JSON.parse(statusBody(plain)).message).toBe(sentence(plain));
  });
});

describe("an answer of our own", () => {
  it("has the table's HTTP status, a Status, and a header that tells it from the cluster's", async () => {
    const error = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "you may not");
    const answer = await answered((response) => sendStatus(response, error, Hop.RELAY));
    expect(answer.statusCode).toBe(403);
    expect(answer.headers).toMatchObject({
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(answer.body)),
      "cache-control": "no-store",
      "fairlead-error": 'ACCESS_DENIED; hop="identity proxy"',
    });
    expect(answer.headers["retry-after"]).toBeUndefined();
    expect(answer.body).toBe(statusBody(error));
  });

  it("says when to come back only where the error does, as a header and as client-go's controllers read it", async () => {
    const error = new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "too many", { retryAfterSeconds: 3 });
    const answer = await answered((response) => sendStatus(response, error, Hop.RELAY));
    expect(answer.headers["retry-after"]).toBe("3");
    expect(JSON.parse(answer.body)).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: "fairlead: relay: too many",
      reason: "TooManyRequests",
      details: { retryAfterSeconds: 3 },
      code: 429,
    });
    expect(Object.keys(answer.headers).filter((name) => name.startsWith("x-kubernetes-pf-"))).toEqual([]);
  });

  it.each([
    [ErrorCode.AGENT_NOT_CONNECTED, 502, "text/plain; charset=utf-8"],
    [ErrorCode.TIMED_OUT, 502, "text/plain; charset=utf-8"],
    [ErrorCode.LIMIT_EXCEEDED, 502, "text/plain; charset=utf-8"],
    [ErrorCode.ACCESS_DENIED, 403, "text/plain; charset=utf-8"],
    [ErrorCode.MALFORMED_REQUEST, 403, "text/plain; charset=utf-8"],
    [ErrorCode.TOKEN_REFUSED, 401, "application/json"],
  ])("of the code %i to aggregated discovery is what client-go prints: %i, %s", async (code, http, contentType) => {
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    const error = new FairleadError(code, Hop.AGENT, "the sentence");
    const answer = await answered((response) => sendStatus(response, error, Hop.RELAY), accept);
    expect([answer.statusCode, answer.headers["content-type"]]).toEqual([http, contentType]);
    expect(answer.body).toContain("fairlead: agent: the sentence");
  });

  it("of a token that is refused, to discovery at the client proxy, is printed: nobody could give another token", async () => {
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    const error = new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, "log in");
    const raw = await answered((response) => sendStatus(response, error, Hop.CLIENT_PROXY), accept);
    expect([raw.statusCode, raw.body]).toEqual([502, "fairlead: client proxy: log in"]);
    const read = await answered((response) => sendStatus(response, error, Hop.CLIENT_PROXY));
    expect([read.statusCode, read.headers["content-type"]]).toEqual([401, "application/json"]);
  });

  it.each(["/openapi/v3?timeout=32s", "/version", "/version?timeout=32s"])(
    "to %s, which kubectl apply and Helm ask for, is what client-go prints too, and repeats",
    async (url) => {
      const error = new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "the sentence", { retryAfterSeconds: 3 });
      const answer = await answered((response) => sendStatus(response, error, Hop.RELAY), undefined, url);
      expect([answer.statusCode, answer.headers["retry-after"], answer.body]).toEqual([
        502,
        "3",
        "fairlead: relay: the sentence",
      ]);
    },
  );

  it.each(["/api/v1/openapi/", "/versions", "/api/version"])("to %s stays a Status", async (url) => {
    const error = new FairleadError(ErrorCode.LIMIT_EXCEEDED, Hop.RELAY, "the sentence");
    expect((await answered((response) => sendStatus(response, error, Hop.RELAY), undefined, url)).statusCode).toBe(429);
  });
});

describe("a loss told to somebody whose request was under way", () => {
  it("says that the request may have been carried out", () => {
    const lost = new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "ECONNRESET");
    expect(explainLoss(lost)).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.RELAY, cause: lost });
    expect(explainLoss(lost).message).toContain("it may have been carried out");
  });

  it("is told likewise when it is a hop that cancels, since the client has not", () => {
    const cancelled = new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "the call was cancelled by its peer");
    expect(explainLoss(cancelled)).toMatchObject({ code: ErrorCode.CONNECTION_LOST, hop: Hop.RELAY, cause: cancelled });
  });

  it.each([
    new FairleadError(ErrorCode.CONNECTION_LOST, Hop.APISERVER, "explained already"),
    new FairleadError(ErrorCode.UNREACHABLE, Hop.AGENT, "not sent"),
    stopped(Hop.AGENT),
  ])("stays as it is when it says so itself, or is no loss", (error) => {
    expect(explainLoss(error)).toBe(error);
  });
});
