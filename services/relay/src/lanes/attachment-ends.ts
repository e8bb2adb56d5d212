import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type AttachmentEnd, AttachmentEndSchema, ErrorCode, type FairleadError } from "@fairlead/protocol";
import type { Attachment } from "./attachment.ts";

/** How many ends are remembered of each cluster. */
const REMEMBERED = 8;

/** How the last attachments of each cluster ended: a connection that is cut on its way shows by its age. */
export class AttachmentEnds {
  readonly #byCluster = new Map<string, readonly AttachmentEnd[]>();

  /** The latest first. */
  of(cluster: string): readonly AttachmentEnd[] {
    return this.#byCluster.get(cluster) ?? [];
  }

  /**
   * An attachment has ended.
   *
   * @param error why; undefined if the agent left
   * @param nowMs since the epoch
   */
  note({ cluster, startedAtMs, isLost }: Attachment, error: FairleadError | undefined, nowMs: number): void {
    const end = create(AttachmentEndSchema, {
      endTime: timestampFromMs(nowMs),
      lasted: durationFromMs(nowMs - startedAtMs),
      lost: isLost && error?.code === ErrorCode.CONNECTION_LOST,
      reason: error?.message ?? "the agent left",
    });
    this.#byCluster.set(cluster, [end, ...this.of(cluster)].slice(0, REMEMBERED));
  }

  /** A cluster was removed. */
  forget(cluster: string): void {
    this.#byCluster.delete(cluster);
  }
}
