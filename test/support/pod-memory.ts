import { setTimeout as delay } from "node:timers/promises";
import type { RealNode } from "./real-node.ts";

/** Nothing is newer than a second here. */
const pollIntervalMs = 1_000;

/**
 * What the kubelet says of pods' memory from now on, and nothing of before.
 *
 * @param pods their names
 * @param least how long it goes on, in milliseconds, and how many samples of each pod there are, at least
 * @returns the samples of each pod, in MiB
 */
export async function memoryFromNowOn(
  node: RealNode,
  namespace: string,
  pods: readonly string[],
  least = { forMs: 0, samples: 1 },
): Promise<Map<string, number[]>> {
  const beganMs = Date.now();
  const seen = new Map(pods.map((pod) => [pod, new Map<number, number>()]));
  const isEnough = () =>
    Date.now() >= beganMs + least.forMs && [...seen.values()].every(({ size }) => size >= least.samples);
  while (!isEnough()) {
    for (const [pod, { atMs, mib }] of await node.memoryOf(namespace)) {
      if (atMs > beganMs) seen.get(pod)?.set(atMs, mib);
    }
    await delay(pollIntervalMs);
  }
  return new Map([...seen].map(([pod, samples]) => [pod, [...samples.values()]]));
}
