import type { LoadGenerator } from "./load/load-generator.ts";
import type { MemorySample } from "./measure/memory-watch.ts";
import type { StallRecord } from "./measure/stall-record.ts";
import type { BenchOptions } from "./options.ts";
import type { Origin } from "./origin/origin.ts";
import type { Path } from "./path/path.ts";

/** One number that was measured. */
export interface Figure {
  readonly name: string;
  /** "s", "ms", "us", "ms/s", "KiB", "KiB/min", "MiB", "MB/s", "1/s", or "" for a plain number. */
  readonly unit: string;
  readonly value: number;
  /** The process it belongs to; figures of one name that differ in it alone are shown together. */
  readonly process?: string;
}

/** What a case found out about one path. */
export interface Row {
  /** The case's name. */
  readonly case: string;
  /** What was done, as in "kube-apiserver, 64 at once"; rows of one variant are compared. */
  readonly variant: string;
  /** The path's name. */
  readonly path: string;
  readonly figures: readonly Figure[];
  /** The main figure in relation to the same figure of the path "direct", where that makes sense. */
  readonly ratioToDirect?: number;
  /** The memory of each process over time; a case that has it is plotted by that. */
  readonly memory?: Readonly<Record<string, readonly MemorySample[]>>;
  /** What went wrong meanwhile: how often, and the first time in words. */
  readonly failures?: { readonly count: number; readonly first: string };
}

/** What the cases have in common; it is brought up when a case first asks for it, and kept for the next. */
export interface BenchContext {
  readonly options: BenchOptions;
  readonly load: LoadGenerator;
  /** A folder that goes when the bench ends. */
  readonly folder: string;
  apiserver(): Promise<Origin>;
  fastOrigin(): Promise<Origin>;
  /** All paths to an origin that are asked for; "direct" is the first. */
  paths(origin: Origin): Promise<readonly Path[]>;
  /** Paths of a case's own must be noted here before they are stopped; those of {@link paths} are by themselves. */
  readonly stalls: StallRecord;
  /** Tells the person what goes on. */
  readonly tell: (sentence: string) => void;
  /** Tells that a path which was asked for cannot be had. */
  miss(name: string, reason: string): void;
  /** Tells that a figure is in doubt, because something else was at work on this machine. */
  readonly disturbed: (sentence: string) => void;
}

/** One thing that is measured. */
export interface Case {
  readonly name: string;
  /** A sentence about it, for tables and the page. */
  readonly title: string;
  /** Whether it is part of a quick run. */
  readonly inQuick: boolean;
  /** The name of the figure that is plotted, or RATIO of plot.ts. */
  readonly plotted: string;
  run(context: BenchContext): Promise<Row[]>;
}
