import { TITLES } from "./checks.ts";
import type { CheckResult, Diagnosis } from "./diagnose.ts";

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
    ...(failed && { failed }),
    checks,
  };
}

/** A diagnosis for people: a line for each check, and what to do about the first that fails. */
export function textReport({ checks, failed }: Diagnosis, { isTerminal }: TextOptions): string {
  const width = Math.max(...checks.map(({ check }) => TITLES[check].length));
  const lines = checks.map((result) => {
    const said = result.state === "skipped" ? "not looked at" : result.seen;
    return `${mark(result, isTerminal)}  ${TITLES[result.check].padEnd(width)}  ${said}`;
  });
  if (!failed) return [...lines, "", "All is well."].join("\n");
  return [...lines, "", `${TITLES[failed.check]} fails: ${failed.seen}`, `What to do: ${failed.remedy}`].join("\n");
}

function mark({ state }: CheckResult, isTerminal: boolean): string {
  if (!isTerminal) return state.padEnd("skipped".length);
  return { ok: "✓", failed: "✗", skipped: "-" }[state];
}
