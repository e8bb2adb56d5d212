import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { GetRelayResponseSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { clockLook, versionLook } from "./relay-steps.ts";

const NOW = Date.UTC(2026, 10, 25);

/** An answer of a relay whose clock is off, after a round trip; both in milliseconds. */
function answerOf(offMs: number, roundTripMs = 20, versions: { client?: string; agent?: string } = {}) {
  const { client = "", agent = "" } = versions;
  const time = timestampFromMs(NOW + offMs);
  const relay = create(GetRelayResponseSchema, {
    ...{ version: "0.3.0", oldestClientVersion: client, oldestAgentVersion: agent, time },
  });
  return { relay, sentAtMs: NOW - roundTripMs / 2, cameAtMs: NOW + roundTripMs / 2 };
}

describe("the clock", () => {
  it.each([
    [0, "0.0 s"],
    [-29_000, "29.0 s ahead of"],
    [29_000, "29.0 s behind"],
  ])("may be off by %d ms", (offMs, says) => {
    expect(clockLook(answerOf(offMs))).toContain(says);
  });

  it.each([
    [-31_000, "31.0 s ahead of"],
    [3_600_000, "3600.0 s behind"],
  ])("may not be off by %d ms", (offMs, says) => {
    expect(() => clockLook(answerOf(offMs))).toThrow(says);
  });

  it("gets the benefit of a slow way", () => {
    expect(clockLook(answerOf(32_000, 6_000))).toContain("32.0 s behind");
  });
});

describe("the version", () => {
  it("may be the oldest that the relay supports", () => {
    const answer = answerOf(0, 20, { client: "0.2.0", agent: "0.9.0" });
    expect(versionLook(answer, { kind: "client", version: "0.2.0" })).toBe("the relay is 0.3.0, this client is 0.2.0");
  });

  it("may not be older", () => {
    const answer = answerOf(0, 20, { agent: "0.2.0" });
    expect(() => versionLook(answer, { kind: "agent", version: "0.1.9" })).toThrow(
      "the oldest that it supports is 0.2.0",
    );
    expect(versionLook(answer, { kind: "client", version: "0.1.9" })).toContain("this client is 0.1.9");
  });
});
