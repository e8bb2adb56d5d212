import { join } from "node:path";
import { prepareCluster, type TunnelOptions } from "@fairlead/demo";
import { alice } from "@fairlead/test/support/tunnel";
import { KubeConfig } from "@kubernetes/client-node";
import type { BenchContext, Case, Row } from "../case.ts";
import { interleaved } from "../measure/interleaved.ts";
import { measureLoad } from "../measure/measured-load.ts";
import type { Origin } from "../origin/origin.ts";
import { startFairlead } from "../path/fairlead.ts";
import { failuresOf, medianOf } from "./figures.ts";

/** Five groups count, by name. */
const FILTER = { expression: `claims.groups.filter(group, group in ${JSON.stringify(groups(5))})` };
/** What an account needs for people without extras: what a tunnel costs that does not name the way of requests. */
const WITHOUT_EXTRAS = [{ verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups"] }];

/** What groups and extras cost: the apiserver authorizes the impersonation of each for each request. */
export const manyGroups: Case = {
  name: "many-groups",
  title:
    "Small GETs, one at a time, by people with many groups: the apiserver authorizes the impersonation of each group and each extra",
  inQuick: false,
  plotted: "p50",
  run: async (context) => {
    context.tell("many-groups");
    const origin = await context.apiserver();
    const paths = await startPaths(context, origin);
    const { rounds, roundSeconds } = context.options;
    try {
      const measured = await interleaved(paths, rounds, (path) =>
        measureLoad(context, origin, path, {
          ...{ kind: "closed loop", endpoint: path.endpoint, target: origin.smallGet, connections: 1 },
          ...{ warmUpMs: 500, measureMs: roundSeconds * 1_000 },
        }),
      );
      return [...measured].map(([path, results]): Row => {
        const of = (share: "p50Ms" | "p99Ms") => medianOf(results, (result) => result[share]);
        const apiserverUs = medianOf(results, ({ cpuUs, requests }) => (cpuUs["kube-apiserver"] ?? 0) / requests);
        const figures = [
          { name: "p50", unit: "ms", value: of("p50Ms") },
          { name: "p99", unit: "ms", value: of("p99Ms") },
          { name: "CPU a request", unit: "us", process: "kube-apiserver", value: apiserverUs },
        ];
        return { case: manyGroups.name, variant: "1 at once", path: path.name, figures, ...failuresOf(results) };
      });
    } finally {
      await Promise.all(paths.filter(({ name }) => name !== "direct").map((path) => path.stop()));
    }
  },
};

async function startPaths(context: BenchContext, origin: Origin) {
  const { folder } = context;
  const withoutExtras = join(folder, "without-extras.kubeconfig");
  const admin = new KubeConfig();
  admin.loadFromFile(origin.adminKubeconfig ?? "");
  await prepareCluster(admin, "nobody", "view", withoutExtras, WITHOUT_EXTRAS);
  const variants: [name: string, groups: number, more?: Partial<TunnelOptions>][] = [
    ["1 group, no extras", 1, { impersonatorKubeconfig: withoutExtras }],
    ["1 group", 1],
    ["50 groups", 50],
    ["200 groups", 200],
    ["200 groups, of which 5 count", 200, { groupsMapping: FILTER }],
  ];
  const [direct] = await context.paths(origin);
  const paths = direct === undefined ? [] : [direct];
  for (const [name, count, more] of variants) {
    const person = { ...alice, groups: groups(count) };
    const path = await startFairlead(origin, { folder, profileDir: undefined }, { person, ...more });
    paths.push({ ...path, name: `fairlead: ${name}` });
  }
  return paths;
}

function groups(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `group-${i}`);
}
