import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "@jest/globals";
import { errorMapping } from "./error-table.ts";
import { ErrorCode } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";

const CODES = Object.values(ErrorCode).filter((code): code is ErrorCode => typeof code === "number");

describe("the table of error codes", () => {
  it.each(CODES.map((code) => [ErrorCode[code], code] as const))("has a row for %s", (_name, code) => {
    const { grpc, http, reason } = errorMapping(code);
    expect(status[grpc]).toBeDefined();
    expect(grpc).not.toBe(status.OK);
    expect(http).toBeGreaterThanOrEqual(400);
    expect(http).toBeLessThan(600);
    expect(reason).toMatch(/^[A-Z][A-Za-z]+$/);
  });

  it("counts a code of a later version as INTERNAL", () => {
    expect(errorMapping(9_999 as ErrorCode)).toEqual(errorMapping(ErrorCode.INTERNAL));
  });

  it("never answers 404, which kubectl takes for an API that is not there", () => {
    expect(CODES.map((code) => errorMapping(code).http)).not.toContain(404);
  });

  it("answers 401 for the caller's own token only, since that makes kubectl run its credential plugin again", () => {
    expect(CODES.filter((code) => errorMapping(code).http === 401)).toEqual([ErrorCode.TOKEN_REFUSED]);
  });

  it.each([
    [ErrorCode.MALFORMED_REQUEST, 400, "BadRequest"],
    [ErrorCode.HEAD_TOO_LARGE, 431, "RequestHeaderFieldsTooLarge"],
    [ErrorCode.TOKEN_REFUSED, 401, "Unauthorized"],
    [ErrorCode.ACCESS_DENIED, 403, "Forbidden"],
    [ErrorCode.CLUSTER_UNKNOWN, 503, "ServiceUnavailable"],
    [ErrorCode.AGENT_NOT_CONNECTED, 503, "ServiceUnavailable"],
    [ErrorCode.UNREACHABLE, 503, "ServiceUnavailable"],
    [ErrorCode.CONNECTION_LOST, 502, "BadGateway"],
    [ErrorCode.TIMED_OUT, 504, "Timeout"],
    [ErrorCode.LIMIT_EXCEEDED, 429, "TooManyRequests"],
    [ErrorCode.PROTOCOL_VIOLATION, 502, "BadGateway"],
    [ErrorCode.DRAINING, 503, "ServiceUnavailable"],
  ])("maps the code %i to %i %s", (code, http, reason) => {
    expect(errorMapping(code)).toMatchObject({ http, reason });
  });
});
