import { setTimeout as delay } from "node:timers/promises";
import { type Cluster, ClusterState, ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { stateName } from "../commands/cluster-output.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";

/** How often the relay is asked, in milliseconds. */
const LOOK_MS = 500;

/**
 * Waits until requests get through to a cluster.
 *
 * @param told hears of each change of the state, and why
 * @param timeoutMs how long to wait, in milliseconds
 * @param signal ends the wait, with its reason
 * @throws FairleadError TIMED_OUT with the last state and its reason
 */
export async function untilConnected(
  relay: RelayConnection,
  name: string,
  told: (line: string) => void,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Cluster> {
  const deadline = Date.now() + timeoutMs;
  for (let last = ""; ; await delay(LOOK_MS)) {
    signal.throwIfAborted();
    const seen = await look(relay, name);
    if (typeof seen === "object" && seen.state === ClusterState.CONNECTED) return seen;
    const line = typeof seen === "object" ? `${stateName(seen.state)}: ${seen.stateReason}` : seen;
    if (line !== last) told(line);
    last = line;
    if (Date.now() < deadline) continue;
    const sentence = `the cluster is not connected after ${Math.round(timeoutMs / 1_000)} s. ${line}`;
    throw new FairleadError(ErrorCode.TIMED_OUT, Hop.AGENT, sentence);
  }
}

/** The cluster, or why it cannot be seen: a relay that is away for a moment, such as at its upgrade, comes back. */
async function look(relay: RelayConnection, name: string): Promise<Cluster | string> {
  try {
    const { clusters } = await relay.clusters.listClusters({});
    return clusters.find((each) => each.name === name) ?? "the relay does not know it any more";
  } catch (error) {
    return FairleadError.from(error, Hop.RELAY).message;
  }
}
