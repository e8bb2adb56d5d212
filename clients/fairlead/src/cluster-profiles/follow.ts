import { setTimeout as delay } from "node:timers/promises";
import { FairleadError, Hop } from "@fairlead/protocol";
import type { RelayConnection } from "../relay/relay-connection.ts";
import type { Hub } from "./hub.ts";
import type { Publisher, Round } from "./publisher.ts";

/** How long changes are gathered before a round, in milliseconds: a relay that starts tells of all clusters at once. */
const GATHER_MS = 500;
/** How often all is written anew, in milliseconds, whoever has changed it at the hub. */
const RESYNC_MS = 300_000;
/** How long to wait after a failure, in milliseconds: doubled each time, up to the second. */
const BACKOFF_MS = { first: 1_000, most: 30_000 };

/** What hears of it, and ends it. */
export interface Followed {
  told: (round: Round) => void;
  /** @param waitMs until it is tried again, in milliseconds */
  failed: (error: FairleadError, waitMs: number) => void;
  signal: AbortSignal;
}

/**
 * Publishes whenever the relay tells of a change, until the signal. What is published is always all that the relay lists
 * then, so that no change is lost with a connection.
 */
export async function followClusters(
  relay: RelayConnection,
  publisher: Publisher,
  hub: Hub,
  { told, failed, signal }: Followed,
): Promise<void> {
  let waitMs = BACKOFF_MS.first;
  while (!signal.aborted) {
    try {
      await followOnce(relay, publisher, hub, signal, (round) => {
        told(round);
        waitMs = BACKOFF_MS.first;
      });
    } catch (error) {
      if (signal.aborted) return;
      failed(FairleadError.from(error, Hop.RELAY), waitMs);
    }
    await delay(waitMs, undefined, { signal }).catch(() => {});
    waitMs = Math.min(waitMs * 2, BACKOFF_MS.most);
  }
}

/** As long as one call lasts: the relay ends it with the caller's token. */
async function followOnce(
  relay: RelayConnection,
  publisher: Publisher,
  hub: Hub,
  signal: AbortSignal,
  told: (round: Round) => void,
): Promise<void> {
  const end = new AbortController();
  const either = AbortSignal.any([signal, end.signal]);
  let wake = Promise.withResolvers<void>();
  const watching = (async () => {
    for await (const _ of relay.clusters.watchClusters({}, { timeoutMs: 0, signal: either })) wake.resolve();
  })().finally(() => {
    end.abort();
    wake.resolve();
  });
  watching.catch(() => {}); // it is awaited below, when a round is over
  try {
    while (!either.aborted) {
      const timer = setTimeout(() => {
        publisher.forget();
        wake.resolve();
      }, RESYNC_MS);
      await wake.promise;
      clearTimeout(timer);
      await delay(GATHER_MS, undefined, { signal: either }).catch(() => {});
      wake = Promise.withResolvers();
      if (!signal.aborted) told(await publisher.publish(hub));
    }
  } finally {
    end.abort();
  }
  await watching;
}
