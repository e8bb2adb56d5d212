import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { AttachmentEnd } from "@fairlead/protocol";
import { Failure } from "./checks.ts";

/** So many connections in a row, lost at one age, are no chance. */
const FEWEST = 3;
/** How far their ages may be apart, as a part of the longest, and what a handshake may take of it, in milliseconds. */
const SPREAD = 0.1;
const HANDSHAKE_MS = 500;
/** Older than that, the longest that a middle box is known to allow, it is no limit that cuts, in milliseconds. */
const LONGEST_MS = 24 * 3_600_000;
/** What the relay's clock may be off by, in milliseconds. */
const CLOCK_MS = 30_000;
const REMEDY =
  "something on the way (a load balancer, a NAT, a proxy) ends connections at that age: raise its limit for long-lived TCP there; if nothing is on the way, see whether the agent's process ends so";

/**
 * Judges how the agent's last attachments ended, as the relay remembers it: connections that are lost again and again at
 * one age are cut on their way.
 *
 * @param ends the latest first
 * @param nowMs since the epoch, by a clock that is right
 * @throws Failure if the last three were, and the next one is due, or was a moment ago
 */
export function sessionsLook(ends: readonly AttachmentEnd[], nowMs: number): string {
  const [last] = ends;
  if (last === undefined) return "none of the agent's has ended since the relay was started";
  const inRow = ends.slice(0, FEWEST);
  const ages = inRow.map(({ lasted }) => (lasted ? durationMs(lasted) : 0));
  const longest = Math.max(...ages);
  const isOneAge = longest - Math.min(...ages) <= longest * SPREAD + HANDSHAKE_MS && longest <= LONGEST_MS;
  const lastAtMs = last.endTime ? timestampMs(last.endTime) : 0;
  const isDue = nowMs - lastAtMs <= longest * (1 + SPREAD) + CLOCK_MS;
  const isLost = inRow.length === FEWEST && inRow.every(({ lost }) => lost);
  const said = `after ${ages.map(seconds).join(", ")}, the last at ${new Date(lastAtMs).toISOString()} (${last.reason})`;
  if (!isLost || !isOneAge || !isDue) return `no pattern in how the agent's ended: ${said}`;
  throw new Failure("sessions", `the agent's last ${FEWEST} were cut at one age: lost ${said}`, REMEDY);
}

/** A connection of our own was cut while it was held. @param heldMs for how long, in milliseconds */
export function heldTooShort(heldMs: number, reason: string): Failure {
  return new Failure("sessions", `this connection was cut after ${seconds(heldMs)}: ${reason}`, REMEDY);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
