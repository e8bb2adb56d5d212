import { type Check, Failure, reasonOf } from "./checks.ts";
import { shown } from "./shown.ts";

/** One look at one hop. */
export interface Step {
  check: Check;
  /** @returns what was seen, if all is well. @throws Failure, of this check or of another that it found out about */
  look(): Promise<string>;
}

/** How a check went. `skipped`: one before it fails, so that nothing can be said. */
export type CheckResult =
  | { check: Check; state: "ok"; seen: string }
  | { check: Check; state: "failed"; seen: string; remedy: string }
  | { check: Check; state: "skipped" };

/** How all went: healthy, or the first that fails. */
export interface Diagnosis {
  checks: readonly CheckResult[];
  /** The first that fails; undefined if none does. */
  failed: Extract<CheckResult, { state: "failed" }> | undefined;
}

/**
 * Looks at each hop in order, until one fails. A later look may find out about a hop before it: that one fails then.
 *
 * @param steps in the order of a request's way
 * @param secrets what was sent and must not be shown, should it come back; asked for in the end
 */
export async function diagnose(
  steps: readonly Step[],
  secrets: () => readonly string[] = () => [],
): Promise<Diagnosis> {
  const seen: string[] = [];
  const failure = await lookAtAll(steps, seen);
  const named = steps.findIndex(({ check }) => check === failure?.check);
  const failedAt = failure && named < 0 ? seen.length : named;
  const checks = steps.map(({ check }, i): CheckResult => {
    if (failure && i === failedAt)
      return { check, state: "failed", seen: shown(failure.seen, secrets()), remedy: failure.remedy };
    const known = seen[i];
    return known === undefined || (failure && i > failedAt)
      ? { check, state: "skipped" }
      : { check, state: "ok", seen: shown(known, secrets()) };
  });
  return { checks, failed: checks.find((result) => result.state === "failed") };
}

async function lookAtAll(steps: readonly Step[], seen: string[]): Promise<Failure | undefined> {
  for (const { check, look } of steps) {
    try {
      seen.push(await look());
    } catch (error) {
      if (error instanceof Failure) return error;
      return new Failure(check, reasonOf(error), "doctor does not know this fault; say so to Fairlead's makers", {
        cause: error,
      });
    }
  }
  return undefined;
}
