import { create } from "@bufbuild/protobuf";
import { ErrorCode, FairleadError, Hop, RequestHeadSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { apiserverError, checkHead } from "./upstream.ts";

const headOf = (change: { method?: string; target?: string; upgrade?: string }) =>
  create(RequestHeadSchema, { method: "GET", target: "/", ...change });
const malformed = expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.IDENTITY_PROXY });

describe("a head that cannot become one clean HTTP/1.1 request", () => {
  it.each(["", "get", "CONNECT", "GET ", "GET /x HTTP/1.1\r\nX:", "G\nET", "GÉT", "A".repeat(25), "GET\n", "M-SEARCH"])(
    "is refused for its method %j",
    (method) => {
      expect(() => checkHead(headOf({ method }), Hop.IDENTITY_PROXY)).toThrow(malformed);
    },
  );

  it.each(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LIST"])(
    "is not one of the method %s",
    (method) => {
      expect(() => checkHead(headOf({ method }), Hop.IDENTITY_PROXY)).not.toThrow();
    },
  );

  it.each([
    "h2c",
    "H2C",
    "websocket, h2c",
    "h2c, websocket",
    "web socket",
    "websocket\r\nX: y",
    "websocket\n",
    "a/b/c",
    "/1",
    "TLS/1.0,HTTP/1.1",
    "x".repeat(33),
  ])("is refused for its upgrade %j", (upgrade) => {
    expect(() => checkHead(headOf({ upgrade }), Hop.IDENTITY_PROXY)).toThrow(malformed);
  });

  it.each(["", "SPDY/3.1", "websocket", "WebSocket"])("is not one of the upgrade %j", (upgrade) => {
    expect(() => checkHead(headOf({ upgrade }), Hop.IDENTITY_PROXY)).not.toThrow();
  });

  it("is refused for its target", () => {
    expect(() => checkHead(headOf({ target: "http://evil/" }), Hop.IDENTITY_PROXY)).toThrow(malformed);
  });
});

describe("what went wrong on the way to the apiserver", () => {
  const cause = Object.assign(new Error("connect ECONNREFUSED 10.0.0.1:443"), { code: "ECONNREFUSED" });

  it("before the connection was made is UNREACHABLE, and names no address", () => {
    const error = apiserverError(cause, false);
    expect(error).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.APISERVER, cause });
    expect(error.message).toContain("ECONNREFUSED");
    expect(error.message).not.toContain("10.0.0.1");
  });

  it("after it was made is CONNECTION_LOST", () => {
    expect(apiserverError(new Error("socket hang up"), true)).toMatchObject({ code: ErrorCode.CONNECTION_LOST });
  });

  it("stays as it is if it was told in our own words", () => {
    const own = new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.IDENTITY_PROXY, "x");
    expect(apiserverError(own, true)).toBe(own);
  });
});
