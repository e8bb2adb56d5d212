import { AskedProcess } from "../asked-process.ts";
import type { Endpoint } from "../load/endpoint.ts";

/** What the process is asked, in this order, "event" as often as there is one. */
export type WatchQuestion =
  | { readonly do: "open"; readonly endpoint: Endpoint; readonly target: string; readonly count: number }
  /** Answered when all watches have got something, or after a while. */
  | { readonly do: "event" }
  | { readonly do: "close" };

/** How it stands with the watches when a question is answered. */
export interface WatchAnswer {
  /** How many are held. */
  readonly held: number;
  /** When the last of those got it, in milliseconds since 1970, with fractions; where it did not come to all, when that was given up. */
  readonly lastAtMs: number;
  /** Watches that were refused or lost, and events that did not come, so far. */
  readonly failures: number;
  readonly firstFailure?: string;
}

/** A process of the bench's own that holds watches, each on a connection of its own. */
export type Watchers = AskedProcess<WatchQuestion, WatchAnswer>;

export function startWatchers(): Promise<Watchers> {
  return AskedProcess.start(new URL("watch-process.js", import.meta.url));
}
