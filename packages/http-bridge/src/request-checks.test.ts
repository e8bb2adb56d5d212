import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { checkRequest, checkTarget } from "./request-checks.ts";

const server = createServer();
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => new Promise<void>((resolve) => server.close(() => resolve())));

/** What `checkRequest` says of a request that a client sends as these bytes; undefined if it takes it. */
async function judged(bytes: string): Promise<FairleadError | undefined> {
  const { promise, resolve } = Promise.withResolvers<FairleadError | undefined>();
  server.removeAllListeners("request");
  server.once("request", (request, response) => {
    try {
      checkRequest(request, Hop.CLIENT_PROXY);
      resolve(undefined);
    } catch (error) {
      resolve(FairleadError.from(error, Hop.CLIENT_PROXY));
    }
    response.end();
  });
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.end(bytes, "latin1");
  socket.resume();
  return promise;
}

describe("a request that hops could read in different ways", () => {
  it.each([
    ["with two Host headers", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ["with the same Host twice, in another case", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"],
    ["with two Authorization headers", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nauthorization: y\r\n\r\n"],
    ["with an absolute target", "GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["with a target of another scheme", "GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["with the target *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["with a backslash in its target", "GET /a\\..\\b HTTP/1.1\r\nHost: a\r\n\r\n"],
  ])("%s is refused", async (_what, bytes) => {
    expect(await judged(bytes)).toMatchObject({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.CLIENT_PROXY });
  });

  it.each([
    ["a plain GET", "GET /api/v1/pods?limit=500 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n"],
    ["other headers that repeat", "GET / HTTP/1.1\r\nHost: a\r\nAccept: a\r\nAccept: b\r\n\r\n"],
  ])("is not %s", async (_what, bytes) => {
    expect(await judged(bytes)).toBeUndefined();
  });
});

describe("a target", () => {
  it.each([
    "/",
    "/api/v1/namespaces/default/pods?watch=true&labelSelector=a%3Db",
    "/apis/x/%2e%2e/%2f", // the apiserver's own to judge: the target goes to it and nowhere else
    "//evil/x",
    "/@evil",
    "/a/../b",
    "/~!$&'()*+,;=:@[]{}|^`<>\"",
  ])("of the cluster is taken: %s", (target) => {
    expect(() => checkTarget(target, Hop.RELAY)).not.toThrow();
  });

  it.each([
    "",
    "api/v1",
    "*",
    "http://evil/",
    "evil:443",
    "@evil/x",
    "/a b",
    "/a\tb",
    "/a\r\nX: y",
    "/a\nb",
    "/a\0b",
    "/a\x7f",
    "/a\\b",
    "/\u00e9",
    "/\u6f22",
    "/a\u2028b",
    " /a",
    "/a ",
    "/a\n",
  ])("that is not a plain path is refused: %j", (target) => {
    expect(() => checkTarget(target, Hop.RELAY)).toThrow(
      expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST }),
    );
  });
});
