import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findTestbedPrograms } from "@fairlead/test/support/testbed-programs";
import type { BenchContext, Case, Row } from "../case.ts";
import { interleaved } from "../measure/interleaved.ts";
import { kubectlEnvironment } from "../path/kubectl-environment.ts";
import { medianOf } from "./figures.ts";

/** How often kubectl is run on each path in one run, and in a quick one. */
const TIMES = 10;
const QUICK_TIMES = 3;

const run = promisify(execFile);

/** What a person waits for. */
export const kubectlGet: Case = {
  name: "kubectl-get",
  title: "The real `kubectl get configmap`, from its start to its end, with discovery in its cache",
  inQuick: true,
  plotted: "median",
  run: async (context) => {
    context.tell("kubectl-get");
    const { kubectl } = await findTestbedPrograms();
    const paths = (await context.paths(await context.apiserver())).filter(({ kubeconfig }) => kubeconfig !== undefined);
    const times = context.options.quick ? QUICK_TIMES : TIMES;
    // One time more: the first fills the cache, which kubectl has for each server.
    const measured = await interleaved(paths, times + 1, ({ kubeconfig = "" }) =>
      timeGet(kubectl, kubeconfig, context),
    );
    const warm = [...measured].map(([path, all]) => ({ path, ms: medianOf(all.slice(1), (ms) => ms) }));
    return warm.map(({ path, ms }): Row => {
      const addedMs = ms - (warm[0]?.ms ?? Number.NaN);
      const figures = [
        { name: "median", unit: "ms", value: ms },
        { name: "added", unit: "ms", value: addedMs },
      ];
      return { case: kubectlGet.name, variant: "kubectl get", path: path.name, figures };
    });
  },
};

/** @returns how long it took, in milliseconds. @throws Error with what kubectl says if it fails */
async function timeGet(kubectl: string, kubeconfig: string, { folder }: BenchContext): Promise<number> {
  const env = kubectlEnvironment(kubeconfig, folder);
  const beganMs = performance.now();
  await run(kubectl, ["get", "configmap", "bench", "--namespace", "default", "--output", "name"], { env });
  return performance.now() - beganMs;
}
