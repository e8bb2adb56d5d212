import { ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { BodyLength } from "./body-length.ts";
import { header } from "./headers.ts";

const malformed = expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST });

describe("the length of a request's body", () => {
  it.each(["", "-1", "+5", "5, 5", "5,5", "0x10", "1e3", "5.0", " 5", "5 ", "٥", "9999999999999999", "NaN"])(
    "is refused when it is announced as %j",
    (value) => {
      expect(() => new BodyLength([header("Content-Length", value)])).toThrow(malformed);
    },
  );

  it("is refused when it is announced twice, even as the same number", () => {
    const twice = [header("Content-Length", "5"), header("content-length", "5")];
    expect(() => new BodyLength(twice)).toThrow(malformed);
  });

  it("that was announced frames the request and is held to it, to the byte", () => {
    const exact = new BodyLength([header("content-length", "10")]);
    expect(exact.framing).toEqual(["Content-Length", "10"]);
    exact.count(4);
    exact.count(6);
    exact.finish();
    expect(() => exact.count(1)).toThrow(malformed);

    const short = new BodyLength([header("Content-Length", "10")]);
    short.count(9);
    expect(() => short.finish()).toThrow(malformed);
  });

  it("that was not announced makes the request chunked, of any length", () => {
    const unknown = new BodyLength([]);
    expect(unknown.framing).toEqual(["Transfer-Encoding", "chunked"]);
    unknown.count(1e9);
    unknown.finish();
  });

  it.each([
    ["GET", 0, []],
    ["DELETE", 0, []],
    ["HEAD", 0, []],
    ["POST", 0, ["Content-Length", "0"]],
    ["PUT", 0, ["Content-Length", "0"]],
    ["PATCH", 0, ["Content-Length", "0"]],
    ["GET", 3, ["Content-Length", "3"]],
    ["POST", 3, ["Content-Length", "3"]],
  ])("of a whole %s of %i bytes is told by %j", (method, bytes, framing) => {
    expect(BodyLength.ofWhole(method, bytes)).toEqual(framing);
  });
});
