import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchContext, Case, Row } from "./case.ts";
import { LoadGenerator } from "./load/load-generator.ts";
import { StallRecord } from "./measure/stall-record.ts";
import { warmUp } from "./measure/warm-up.ts";
import type { BenchOptions } from "./options.ts";
import { startFastOrigin } from "./origin/fast-origin.ts";
import { startKubeApiserver } from "./origin/kube-apiserver.ts";
import type { Origin } from "./origin/origin.ts";
import type { Path } from "./path/path.ts";
import { type PathsContext, startPaths } from "./path/start-paths.ts";

/** Runs cases, and keeps what they have in common until {@link stop}. */
export class Bench implements BenchContext, PathsContext {
  readonly options: BenchOptions;
  readonly load: LoadGenerator;
  readonly folder: string;
  readonly tell: (sentence: string) => void;
  /** The paths that were asked for and could not be had, by name, with the reason. */
  readonly missing = new Map<string, string>();
  readonly stalls = new StallRecord();
  /** The measurements in doubt so far. */
  readonly disturbances: string[] = [];
  readonly disturbed = (sentence: string): void => {
    this.disturbances.push(sentence);
    this.tell(`*** DISTURBED: ${sentence} ***`);
  };
  /** The rows of each run so far. */
  readonly runs: Row[][] = [];
  #stopped: Promise<void> | undefined;
  readonly #origins = new Map<Origin["name"], Promise<Origin>>();
  readonly #paths = new Map<Origin, Promise<readonly Path[]>>();

  private constructor(options: BenchOptions, load: LoadGenerator, folder: string, tell: (sentence: string) => void) {
    this.options = options;
    this.load = load;
    this.folder = folder;
    this.tell = tell;
  }

  static async create(options: BenchOptions, tell: (sentence: string) => void): Promise<Bench> {
    // Unix sockets lie in here, whose paths may have no more than 107 bytes.
    const folder = await mkdtemp(join(tmpdir(), "fairlead-bench-"));
    return new Bench(options, await LoadGenerator.start(), folder, tell);
  }

  /** Runs all cases, as often as was asked for. @param onCase is awaited after each */
  async run(cases: readonly Case[], onCase: () => Promise<void>): Promise<void> {
    for (let run = 1; run <= this.options.runs; run++) {
      const rows: Row[] = [];
      this.runs.push(rows);
      for (const one of cases) {
        this.tell(`run ${run} of ${this.options.runs}: ${one.title}`);
        await this.#eachPath((path) => this.stalls.skip(path));
        this.stalls.clear();
        rows.push(...(await one.run(this)));
        await this.#eachPath(async (path) => void (await this.stalls.note(path)));
        rows.push(...this.stalls.rows(one.name));
        await onCase();
      }
    }
  }

  apiserver(): Promise<Origin> {
    return this.#origin("kube-apiserver", startKubeApiserver);
  }

  fastOrigin(): Promise<Origin> {
    return this.#origin("fast origin", () => startFastOrigin(this.folder));
  }

  paths(origin: Origin): Promise<readonly Path[]> {
    const paths = this.#paths.get(origin) ?? this.#startPaths(origin);
    this.#paths.set(origin, paths);
    return paths;
  }

  miss(name: string, reason: string): void {
    this.missing.set(name, reason);
    this.tell(`*** ${name} is NOT MEASURED: ${reason} ***`);
  }

  /** Ends all processes and removes the folder; once, however often it is asked. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #eachPath(act: (path: Path) => Promise<void>): Promise<void> {
    for (const path of (await settledValues(this.#paths.values())).flat()) await act(path);
  }

  async #stop(): Promise<void> {
    const paths = await settledValues(this.#paths.values());
    await Promise.all(paths.flat().map((path) => path.stop()));
    const origins = await settledValues(this.#origins.values());
    await Promise.all([this.load.stop(), ...origins.map((origin) => origin.stop())]);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #startPaths(origin: Origin): Promise<readonly Path[]> {
    const paths = await startPaths(origin, this);
    for (const path of paths) {
      await warmUp(this.load, origin, path, this.options.quick ? 1_000 : 4_000);
      await this.stalls.skip(path);
    }
    return paths;
  }

  #origin(name: Origin["name"], start: () => Promise<Origin>): Promise<Origin> {
    const origin = this.#origins.get(name) ?? start();
    this.#origins.set(name, origin);
    return origin;
  }
}

/** What has come of promises, without those that failed: whoever waits for those has heard of it. */
async function settledValues<T>(promises: Iterable<Promise<T>>): Promise<T[]> {
  const settled = await Promise.allSettled(promises);
  return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}
