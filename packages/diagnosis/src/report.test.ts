import { describe, expect, it } from "@jest/globals";
import type { Diagnosis } from "./diagnose.ts";
import { jsonReport, shown, textReport } from "./report.ts";

const failed = { check: "tls", state: "failed", seen: "no\u001b[2J trust", remedy: "give the authority" } as const;
const FAILING: Diagnosis = {
  checks: [{ check: "name", state: "ok", seen: "an address" }, failed, { check: "grpc", state: "skipped" }],
  failed,
};
const HEALTHY: Diagnosis = { checks: [{ check: "name", state: "ok", seen: "an address" }], failed: undefined };

describe("a report for people", () => {
  it("is a line for each check, and the remedy", () => {
    expect(textReport(FAILING, { isTerminal: false })).toBe(
      "ok       name  an address\nfailed   TLS   no\ufffd[2J trust\nskipped  gRPC  not looked at\n\n" +
        "TLS fails: no\ufffd[2J trust\nWhat to do: give the authority",
    );
  });

  it("has marks on a terminal", () => {
    expect(textReport(FAILING, { isTerminal: true })).toMatch(/^✓ {2}name.*\n✗ {2}TLS.*\n- {2}gRPC/);
  });

  it("says that all is well", () => {
    expect(textReport(HEALTHY, { isTerminal: false })).toBe("ok       name  an address\n\nAll is well.");
  });
});

describe("a report for programs", () => {
  it("has the failure beside the checks", () => {
    const seen = "no\ufffd[2J trust";
    expect(jsonReport({ relay: "https://r", cluster: "prod" }, FAILING)).toEqual({
      ...{ healthy: false, relay: "https://r", cluster: "prod", failed: { ...failed, seen } },
      checks: [FAILING.checks[0], { ...failed, seen }, FAILING.checks[2]],
    });
  });

  it("has none if all is well, and no cluster if none was asked for", () => {
    const { checks } = HEALTHY;
    expect(jsonReport({ relay: "https://r", cluster: undefined }, HEALTHY)).toEqual({
      healthy: true,
      relay: "https://r",
      checks,
    });
  });
});

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

  it("is cut where it is long", () => {
    expect(shown("x".repeat(10_000))).toHaveLength(601);
  });
});
