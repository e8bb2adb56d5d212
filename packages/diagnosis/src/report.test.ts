import { describe, expect, it } from "@jest/globals";
import type { Diagnosis } from "./diagnose.ts";
import { jsonReport, textReport } from "./report.ts";

const failed = { check: "tls", state: "failed", seen: "no trust", remedy: "give the authority" } as const;
const FAILING: Diagnosis = {
  checks: [{ check: "name", state: "ok", seen: "an address" }, failed, { check: "grpc", state: "skipped" }],
  failed,
};
const HEALTHY: Diagnosis = { checks: [{ check: "name", state: "ok", seen: "an address" }], failed: undefined };

describe("a report for people", () => {
  it("is a line for each check, and the remedy", () => {
    expect(textReport(FAILING, { isTerminal: false })).toBe(
      "ok       name  an address\nfailed   TLS   no trust\nskipped  gRPC  not looked at\n\n" +
        "TLS fails: no trust\nWhat to do: give the authority",
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
    expect(jsonReport({ relay: "https://r", cluster: "prod" }, FAILING)).toEqual({
      ...{ healthy: false, relay: "https://r", cluster: "prod", failed },
      checks: FAILING.checks,
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
