import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findTestbedPrograms } from "@fairlead/test/support/testbed-programs";
import type { BenchContext, Case, Figure, Row } from "../case.ts";
import { inTurns } from "../measure/in-turns.ts";
import { cpuTimeUs } from "../measure/process-usage.ts";
import { kubectlEnvironment } from "../path/kubectl-environment.ts";
import type { Path } from "../path/path.ts";
import { failuresOf } from "./figures.ts";

const EXECS = 1_000;
const QUICK_EXECS = 50;
const WORKERS = 10;
const US_PER_MS = 1_000;

const run = promisify(execFile);

/** What a deploy job does. */
export const manyExecs: Case = {
  name: "many-execs",
  title: `\`kubectl exec p1 -- true\` by ${WORKERS} workers, each a kubectl of its own`,
  inQuick: true,
  plotted: "execs",
  run: async (context) => {
    const { kubectl } = await findTestbedPrograms();
    const paths = (await context.paths(await context.apiserver())).filter(({ kubeconfig }) => kubeconfig !== undefined);
    const rows: Row[] = [];
    for (const path of paths) rows.push(await measure(context, kubectl, path));
    const perSecond = (row: Row | undefined): number =>
      row?.figures.find(({ name }) => name === "execs")?.value ?? Number.NaN;
    return rows.map((row) => ({ ...row, ratioToDirect: perSecond(row) / perSecond(rows[0]) }));
  },
};

async function measure(context: BenchContext, kubectl: string, path: Path): Promise<Row> {
  const count = context.options.quick ? QUICK_EXECS : EXECS;
  context.tell(`many-execs: ${count} through ${path.name}`);
  const env = kubectlEnvironment(path.kubeconfig ?? "", context.folder);
  const execOnce = async (): Promise<void> => {
    await run(kubectl, ["exec", "--namespace", "default", "p1", "--", "true"], { env }).catch((error) => {
      throw new Error(`exit code ${error.code}: ${String(error.stderr).trim().slice(0, 200)}`);
    });
  };
  await inTurns(WORKERS, WORKERS, execOnce); // kubectl's cache, and what a first exec costs
  const processes = Object.entries({ ...path.processes, ...(await context.apiserver()).processes });
  const before = processes.map(([, pid]) => cpuTimeUs(pid));
  const turns = await inTurns(count, WORKERS, execOnce);
  const cpu = processes.map(([process, pid], i): Figure => {
    const value = (cpuTimeUs(pid) - (before[i] ?? 0)) / US_PER_MS / count;
    return { name: "CPU an exec", unit: "ms", process, value };
  });
  return {
    case: manyExecs.name,
    variant: `${count} execs`,
    path: path.name,
    figures: [
      { name: "all", unit: "s", value: turns.seconds },
      { name: "execs", unit: "1/s", value: count / turns.seconds },
      ...cpu,
    ],
    ...failuresOf([turns]),
  };
}
