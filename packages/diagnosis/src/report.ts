import { TITLES } from "./checks.ts";
import type { CheckResult, Diagnosis } from "./diagnose.ts";

/** Longest text that is shown of what was seen, in characters. */
const MAX_SEEN = 600;
/** JWTs (RFC 7519), join tokens and the values of authorization headers, should any come back in an answer. */
const SECRETS = /\beyJ[\w-]*\.[\w-]*(\.[\w-]*)?|\bflj_[\w-]+|\b(Bearer|Basic|DPoP) +[\w.~+/=-]{12,}/gi;

/** Who was asked about what. */
export interface Subject {
  /** The relay's origin. */
  relay: string;
  /** The cluster, if there is one to ask about. */
  cluster: string | undefined;
}

/** How a report is drawn. */
export interface TextOptions {
  /** ✓ and ✗, for a terminal; words otherwise, for logs and screen readers. */
  isTerminal: boolean;
}

/** A diagnosis as `--output json` has it (docs/reference/doctor.md). */
export function jsonReport({ relay, cluster }: Subject, { checks, failed }: Diagnosis) {
  return {
    healthy: failed === undefined,
    relay,
    ...(cluster !== undefined && { cluster }),
    ...(failed && { failed: plain(failed) }),
    checks: checks.map(plain),
  };
}

/** A diagnosis for people: a line for each check, and what to do about the first that fails. */
export function textReport({ checks, failed }: Diagnosis, { isTerminal }: TextOptions): string {
  const width = Math.max(...checks.map(({ check }) => TITLES[check].length));
  const lines = checks.map((result) => {
    const said = result.state === "skipped" ? "not looked at" : shown(result.seen);
    return `${mark(result, isTerminal)}  ${TITLES[result.check].padEnd(width)}  ${said}`;
  });
  if (!failed) return [...lines, "", "All is well."].join("\n");
  return [...lines, "", `${TITLES[failed.check]} fails: ${shown(failed.seen)}`, `What to do: ${failed.remedy}`].join(
    "\n",
  );
}

function mark({ state }: CheckResult, isTerminal: boolean): string {
  if (!isTerminal) return state.padEnd("skipped".length);
  return { ok: "✓", failed: "✗", skipped: "-" }[state];
}

function plain(result: CheckResult): CheckResult {
  return result.state === "skipped" ? result : { ...result, seen: shown(result.seen) };
}

/** What a stranger said, as one line that tells a terminal nothing to do and has no secret in it. */
export function shown(seen: string): string {
  const line = seen
    .replace(SECRETS, "[secret]")
    .replace(/\s+/g, " ")
    .replace(/\p{Cc}|\p{Cf}/gu, "\ufffd");
  return line.length > MAX_SEEN ? `${line.slice(0, MAX_SEEN)}…` : line;
}
