import { mkdtemp } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runProgram } from "./program.ts";
import { buildPart } from "./testbed-programs.ts";

/** Where the charts are. */
export const CHARTS = join(
  createRequire(import.meta.url).resolve("@fairlead/test/testbed/node/node.sh"),
  "../../../../deploy/charts",
);

/** A real helm with nothing of the user's settings, of the version that test/testbed/helm pins. */
export class Helm {
  readonly #program: string;
  readonly #home: string;

  private constructor(program: string, home: string) {
    this.#program = program;
    this.#home = home;
  }

  /**
   * Builds it if the cache has none yet, which takes a minute.
   *
   * @param dir where its caches and settings go
   */
  static async find(dir: string): Promise<Helm> {
    return new Helm(join(await buildPart("helm"), "helm"), await mkdtemp(join(dir, "helm-")));
  }

  /**
   * @param kubeconfig for what needs a cluster; `template` and `lint` do not
   * @returns its stdout
   * @throws Error with its command line and stderr if it fails
   */
  run(args: readonly string[], kubeconfig = "/nonexistent"): Promise<string> {
    return runProgram({ file: this.#program, args }, { ...this.environment, KUBECONFIG: kubeconfig });
  }

  /** By which other programs find this helm, with its settings. */
  get environment(): Record<string, string> {
    return {
      PATH: `${dirname(this.#program)}:${process.env.PATH}`,
      HOME: this.#home,
      HELM_CACHE_HOME: join(this.#home, "cache"),
      HELM_CONFIG_HOME: join(this.#home, "config"),
      HELM_DATA_HOME: join(this.#home, "data"),
    };
  }
}
