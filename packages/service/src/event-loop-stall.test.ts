import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "@jest/globals";
import { EventLoopStall } from "./event-loop-stall.ts";

const SAMPLES_MS = 100;

function stand(forMs: number): void {
  const untilMs = performance.now() + forMs;
  while (performance.now() < untilMs);
}

it("the longest stall of the event loop is told once, in milliseconds", async () => {
  const stall = new EventLoopStall();
  await sleep(SAMPLES_MS);
  stall.takeLongestMs();
  await sleep(SAMPLES_MS);
  for (const forMs of [300, 150]) {
    stand(forMs);
    await sleep(SAMPLES_MS);
  }
  const longestMs = stall.takeLongestMs();
  expect(longestMs).toBeGreaterThan(270);
  expect(stall.takeLongestMs()).toBeLessThan(longestMs);
});
