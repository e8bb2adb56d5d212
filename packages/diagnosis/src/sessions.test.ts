import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type AttachmentEnd, AttachmentEndSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { sessionsLook } from "./sessions.ts";

const NOW = Date.UTC(2026, 10, 25);

/** Ends, the latest first, by how long each had lasted, in seconds. */
function ends(seconds: readonly number[], { lost = true, agoMs = 1_000 } = {}): AttachmentEnd[] {
  return seconds.map((lasted) =>
    create(AttachmentEndSchema, {
      ...{ endTime: timestampFromMs(NOW - agoMs), lasted: durationFromMs(lasted * 1_000), lost, reason: "reset" },
    }),
  );
}

describe("the ends of an agent's attachments", () => {
  it.each([
    ["90 s", [90, 90.2, 91]],
    ["90 s, whatever came before", [90, 90, 90, 5_000, 3]],
    ["4 s", [4, 4.3, 4.1]],
    ["an hour", [3_600, 3_590, 3_601]],
  ])("show what cuts connections at %s", (_what, lasted) => {
    expect(() => sessionsLook(ends(lasted), NOW)).toThrow(/the agent's last 3 were cut at one age: lost after .*reset/);
  });

  it.each([
    ["there are none", []],
    ["there are two", ends([90, 90])],
    ["their ages differ", ends([90, 300, 12])],
    [
      "one of the last three was ended in good order",
      [...ends([90]), ...ends([90], { lost: false }), ...ends([90, 90])],
    ],
    ["the next one is overdue", ends([90, 90, 90], { agoMs: 180_000 })],
    ["they had lasted for days", ends([200_000, 200_000, 200_000])],
  ])("show nothing if %s", (_what, some) => {
    expect(sessionsLook(some, NOW)).toMatch(/none of the agent's has ended|no pattern/);
  });
});
