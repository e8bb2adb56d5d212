import { countsOf, restingCounts, untilCountsAre } from "@fairlead/test/support/tunnel";
import type { BenchContext, Row } from "../case.ts";
import { warmUp } from "../measure/warm-up.ts";
import type { Origin } from "../origin/origin.ts";
import { type FairleadPath, startFairlead } from "../path/fairlead.ts";

/** Our path for one measurement of memory: what was measured before would show in it. */
export interface OwnPath {
  readonly path: FairleadPath;
  /** Waits until lanes, exchanges and sockets are as many as before. @returns what went wrong; nothing if they are */
  untilAtRest(): Promise<string | undefined>;
}

/** Lends our path, warm and at rest, and ends it after. */
export async function withOwnPath<T>(
  { options, folder, load }: BenchContext,
  origin: Origin,
  use: (own: OwnPath) => Promise<T>,
): Promise<T> {
  const path = await startFairlead(origin, { folder, profileDir: undefined });
  try {
    await warmUp(load, origin, path, options.quick ? 1_000 : 4_000);
    const before = await restingCounts(path.tunnel);
    return await use({
      path,
      untilAtRest: () =>
        untilCountsAre(path.tunnel, before).then(
          () => undefined,
          (error: Error) => `the counts are not what they were: ${error.message}`,
        ),
    });
  } finally {
    await path.stop();
  }
}

/** Exchanges that the relay has under way now. */
export async function exchangesOf({ tunnel }: FairleadPath): Promise<number> {
  return (await countsOf(tunnel))["relay exchanges"] ?? Number.NaN;
}

/** Failures in words as a row has them; nothing if there are none. */
export function failuresInWords(sentences: readonly (string | undefined)[]): Pick<Row, "failures"> {
  const said = sentences.filter((sentence) => sentence !== undefined);
  const [first] = said;
  return first === undefined ? {} : { failures: { count: said.length, first } };
}
