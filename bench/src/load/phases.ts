import { setTimeout as sleep } from "node:timers/promises";
import type { LoadJob } from "./load-job.ts";
import type { Tally } from "./tally.ts";

/** Told when measuring begins and ends. */
export interface PhaseListener {
  onMeasuring(): void;
  onMeasured(): void;
}

/** Lets a load run: first to warm it up, then measured. @param around what is done just before and just after measuring */
export async function measurePhases(
  { warmUpMs, measureMs }: LoadJob,
  tally: Tally,
  listener: PhaseListener,
  around?: () => Promise<void>,
): Promise<void> {
  await sleep(warmUpMs);
  listener.onMeasuring();
  await around?.();
  tally.begin();
  await sleep(measureMs);
  await around?.();
  tally.end();
  listener.onMeasured();
}
