import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";
import type { BenchContext, Case, Row } from "../case.ts";
import type { LoadResult } from "../load/load-job.ts";
import { percentile } from "../load/percentile.ts";
import { interleaved } from "../measure/interleaved.ts";
import type { Origin } from "../origin/origin.ts";
import { failuresOf } from "./figures.ts";

const PER_SECOND = 10;
const NAMESPACE = "bench";
const OBJECTS = 50;
/** What lists them all, about 60 KiB. */
export const LIST_TARGET = `/api/v1/namespaces/${NAMESPACE}/configmaps?limit=500`;
const TEXT_BYTES = 700;
/** The time of each path is cut into slices, so that all paths meet what the machine does meanwhile. */
const SLICE_SECONDS = 10;

/** Lists at a fixed rate. */
export const fixedRate: Case = {
  name: "fixed-rate",
  title: `Lists of ${OBJECTS} ConfigMaps (about 60 KiB) from the kube-apiserver at ${PER_SECOND} a second; latency counts from when a list was due`,
  inQuick: true,
  plotted: "p99",
  run: async (context) => {
    const origin = await context.apiserver();
    await createObjects(origin);
    return measureAll(context, origin);
  },
};

async function measureAll(context: BenchContext, origin: Origin): Promise<Row[]> {
  const { seconds } = context.options;
  context.tell(`fixed-rate: ${seconds} s for each path`);
  const slices = Math.ceil(seconds / SLICE_SECONDS);
  const measured = await interleaved(await context.paths(origin), slices, ({ endpoint }) =>
    context.load.run({
      kind: "open loop",
      endpoint,
      target: LIST_TARGET,
      perSecond: PER_SECOND,
      warmUpMs: 200,
      measureMs: (seconds / slices) * 1_000,
    }),
  );
  return [...measured].map(([path, results]) => ({
    case: fixedRate.name,
    variant: `${PER_SECOND} lists a second`,
    path: path.name,
    figures: figuresOf(results),
    ...failuresOf(results),
  }));
}

/** Percentiles over all slices together. */
function figuresOf(results: readonly LoadResult[]) {
  const sorted = Float64Array.from(results.flatMap(({ latenciesMs }) => latenciesMs)).sort();
  const at = (name: string, share: number) => ({ name, unit: "ms", value: percentile(sorted, share) });
  const shares = [at("p50", 0.5), at("p90", 0.9), at("p99", 0.99), at("longest", 1)];
  return [...shares, { name: "lists", unit: "", value: sorted.length }];
}

/** Makes what is listed, once: a later run finds it there. */
export async function createObjects({ adminKubeconfig }: Origin): Promise<void> {
  if (adminKubeconfig === undefined) throw new Error("this case needs an administrator of the cluster");
  const admin = new KubeConfig();
  admin.loadFromFile(adminKubeconfig);
  const core = admin.makeApiClient(CoreV1Api);
  const { items } = await core.listNamespace();
  if (items.some(({ metadata }) => metadata?.name === NAMESPACE)) return;
  await core.createNamespace({ body: { metadata: { name: NAMESPACE } } });
  for (let i = 0; i < OBJECTS; i++) {
    const body = { metadata: { name: `bench-${i}` }, data: { text: "x".repeat(TEXT_BYTES) } };
    await core.createNamespacedConfigMap({ namespace: NAMESPACE, body });
  }
}
