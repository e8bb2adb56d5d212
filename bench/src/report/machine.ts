import { execFileSync } from "node:child_process";
import { cpus, release, totalmem, type } from "node:os";

const GIB = 1024 ** 3;

/** What the figures were measured on. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly system: string;
  readonly node: string;
  /** The commit that was measured; "unknown" outside a checkout. */
  readonly commit: string;
}

export function describeMachine(): Machine {
  const all = cpus();
  return {
    processor: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memoryGib: Math.round(totalmem() / GIB),
    system: `${type()} ${release()}`,
    node: process.version,
    commit: commit(),
  };
}

function commit(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
