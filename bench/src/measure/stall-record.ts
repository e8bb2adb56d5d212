import type { Row } from "../case.ts";
import type { Path } from "../path/path.ts";

/** Keeps the longest event-loop stall of each process of ours while a case runs. */
export class StallRecord {
  readonly #longestMs = new Map<string, number>();

  /**
   * Notes what a path's processes tell: their longest stalls since they were last asked. One that is gone has none.
   *
   * @returns the same, in milliseconds by process
   */
  async note({ privateUrls }: Path): Promise<Readonly<Record<string, number>>> {
    const told: Record<string, number> = {};
    for (const [process, url] of Object.entries(privateUrls?.() ?? {})) {
      const stallMs = await readStallMs(url).catch(() => 0);
      this.#longestMs.set(process, Math.max(stallMs, this.#longestMs.get(process) ?? 0));
      told[process] = stallMs;
    }
    return told;
  }

  /** Lets a path's stalls count from now on: a start is not measured. */
  async skip({ privateUrls }: Path): Promise<void> {
    for (const url of Object.values(privateUrls?.() ?? {})) await readStallMs(url).catch(() => 0);
  }

  /** Forgets what was noted. */
  clear(): void {
    this.#longestMs.clear();
  }

  /** What was noted, as a row of the case; none if no process of ours was part of it. */
  rows(name: string): Row[] {
    if (this.#longestMs.size === 0) return [];
    const figures = [...this.#longestMs].map(([process, value]) => ({
      name: "longest stall",
      unit: "ms",
      process,
      value,
    }));
    return [{ case: name, variant: "event loops, the whole case", path: "fairlead", figures }];
  }
}

async function readStallMs(privateUrl: string): Promise<number> {
  const text = await (await fetch(`${privateUrl}/metrics`)).text();
  return Number(/^fairlead_event_loop_stall_max_milliseconds (\S+)$/m.exec(text)?.[1] ?? 0);
}
