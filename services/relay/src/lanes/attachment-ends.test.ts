import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { AgentFrameSchema, ErrorCode, FairleadError, FrameStream, Hop, RelayFrameSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { Attachment } from "./attachment.ts";
import { AttachmentEnds } from "./attachment-ends.ts";
import { MemoryStream } from "./message-stream-fixture.ts";

const LOST = new FairleadError(ErrorCode.CONNECTION_LOST, Hop.AGENT, "the connection was lost");

function attachment(): Attachment {
  const control = new FrameStream(new MemoryStream(), RelayFrameSchema, AgentFrameSchema, Hop.AGENT);
  control.start({ frame: () => {}, closed: () => {} });
  control.send({ frame: { case: "registered", value: { cluster: "prod" } } });
  return new Attachment("prod", "join", "0.1.0", control);
}

/** Whether an attachment that ends so is said to be lost. */
function isLost(before: (attachment: Attachment) => void, error: FairleadError | undefined): boolean | undefined {
  const ends = new AttachmentEnds();
  const one = attachment();
  before(one);
  ends.note(one, error, Date.now());
  return ends.of("prod")[0]?.lost;
}

describe("the end of an attachment", () => {
  it("is a loss if the connection breaks, or if the agent falls silent, as behind a NAT that forgets", () => {
    expect(isLost(() => {}, LOST)).toBe(true);
    expect(isLost((one) => one.fallenSilent(LOST), LOST)).toBe(true);
  });

  it("is none if the agent leaves, or if either side has ended it", () => {
    expect(isLost(() => {}, undefined)).toBe(false);
    expect(isLost((one) => one.retire(), LOST)).toBe(false);
    expect(isLost((one) => one.end(LOST), LOST)).toBe(false);
  });
});

describe("the ends of a cluster's attachments", () => {
  it("are the last eight, the latest first, and gone with the cluster", () => {
    const ends = new AttachmentEnds();
    const one = attachment();
    for (let i = 1; i <= 10; i++) ends.note(one, LOST, one.startedAtMs + i * 1_000);
    const kept = ends.of("prod");
    expect(kept.map(({ lasted }) => Number(lasted && durationMs(lasted)) / 1_000)).toEqual([10, 9, 8, 7, 6, 5, 4, 3]);
    expect(kept[0]?.endTime && timestampMs(kept[0].endTime)).toBe(one.startedAtMs + 10_000);
    ends.forget("prod");
    expect(ends.of("prod")).toEqual([]);
  });
});
