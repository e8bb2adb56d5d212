import { describe, expect, it } from "@jest/globals";
import { shown } from "./shown.ts";

describe("what a stranger said", () => {
  it.each([
    ["a JWT", "got eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln back", "got [secret] back"],
    ["a part of one", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIi", "[secret]"],
    ["a join token", "flj_abc-DEF_1", "[secret]"],
    ["an authorization header", "authorization: bearer abc.def~ghi+jkl==", "authorization: [secret]"],
    ["lines", "one\r\n\ttwo", "one two"],
    ["what tells a terminal something", "\u001b]0;x\u0007\u009b1m", "\ufffd]0;x\ufffd\ufffd1m"],
    ["what turns text around", "a\u202eb", "a\ufffdb"],
  ])("is shown without %s", (_what, said, expected) => {
    expect(shown(said)).toBe(expected);
  });

  it("is shown without what was sent, whatever that looks like", () => {
    expect(shown("who is ghp_opaque? ghp_opaque!", ["ghp_opaque"])).toBe("who is [secret]? [secret]!");
  });

  it("is cut where it is long", () => {
    expect(shown("x".repeat(10_000))).toHaveLength(601);
  });
});
