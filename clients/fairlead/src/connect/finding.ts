/** What a preflight looks at, as its report names it. */
export type Check = "version" | "clock" | "permissions" | "agent" | "release" | "image" | "DNS" | "egress";

/** How a check went. A fault's sentence says what to do, and that of a skipped one why nothing can be said. */
export interface Finding {
  check: Check;
  /** In doctor's words. */
  state: "ok" | "failed" | "skipped";
  said: string;
}

/** One look at a cluster. */
export interface Look {
  /** What it finds out about. */
  checks: readonly Check[];
  /** @throws Error if nothing can be said */
  look(): Promise<readonly Finding[]>;
}

/** How a check went of which only faults can be found. @param faults what is wrong; undefined for what is not */
export function judged(check: Check, ok: string, ...faults: (string | undefined)[]): Finding {
  const found = faults.filter((fault) => fault !== undefined);
  return found.length > 0 ? { check, state: "failed", said: found.join("; ") } : { check, state: "ok", said: ok };
}

/** Nothing can be said of these, for one reason, which stands with the first. */
export function skipped([first, ...others]: readonly Check[], why: string): Finding[] {
  const finding = (check: Check, said: string): Finding => ({ check, state: "skipped", said });
  const firsts = first === undefined ? [] : [finding(first, `not looked at: ${why}`)];
  return [...firsts, ...others.map((check) => finding(check, "not looked at"))];
}

/** A line of the report, as doctor's are. */
export function lineOf({ check, state, said }: Finding): string {
  return `${state.padEnd(8)} ${check.padEnd(12)} ${said}`;
}
