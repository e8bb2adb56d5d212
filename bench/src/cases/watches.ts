import { setTimeout as sleep } from "node:timers/promises";
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";
import type { BenchContext, Case, Figure, Row } from "../case.ts";
import { median } from "../load/percentile.ts";
import { type ByProcess, difference, memoryBy, memoryFigures } from "../measure/memory-by-process.ts";
import { warmUp } from "../measure/warm-up.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { startPaths } from "../path/start-paths.ts";
import { startWatchers, type WatchAnswer, type Watchers } from "../watches/watchers.ts";

const NAMESPACE = "bench-watches";
/** As many as a cluster may have exchanges. */
const WATCHES = 5_000;
const QUICK_WATCHES = 500;
const EVENTS = 3;
/** How long memory may settle before it is read, in milliseconds. */
const SETTLE_MS = 5_000;
const KIB_PER_MIB = 1024;

/** Watches held, and what they cost. */
export const watches: Case = {
  name: "watches",
  title:
    "Watches held on the ConfigMaps of one namespace, each on a connection of its own: memory (RSS) before, while they are held and after, and how long one event takes to all. All paths are started for it",
  inQuick: false,
  plotted: "event to all",
  run: async (context) => {
    const origin = await context.apiserver();
    const admin = await prepare(origin);
    const rows: Row[] = [];
    const paths = await startPaths(origin, context);
    try {
      for (const path of paths) rows.push(await measure(context, origin, path, admin));
    } finally {
      for (const path of paths) await context.stalls.note(path);
      await Promise.all(paths.map((path) => path.stop()));
    }
    return rows;
  },
};

async function measure(context: BenchContext, origin: Origin, path: Path, admin: CoreV1Api): Promise<Row> {
  const count = context.options.quick ? QUICK_WATCHES : WATCHES;
  context.tell(`watches: ${count} through ${path.name}`);
  const watchers = await startWatchers();
  try {
    await warmUp(context.load, origin, path, context.options.quick ? 1_000 : 4_000);
    await context.stalls.skip(path);
    const stalls = async (phase: string): Promise<Figure[]> => {
      const told = Object.entries(await context.stalls.note(path));
      return told.map(([process, value]) => ({ name: `stall while ${phase}`, unit: "ms", process, value }));
    };
    return await measureWith({ watchers, count, origin, path, admin, stalls });
  } finally {
    await watchers.stop();
  }
}

/** What the measurement of one path needs. */
interface Scene {
  readonly watchers: Watchers;
  readonly count: number;
  readonly origin: Origin;
  readonly path: Path;
  readonly admin: CoreV1Api;
  /** The longest stalls since this was last asked. */
  stalls(phase: string): Promise<Figure[]>;
}

async function measureWith({ watchers, count, origin, path, admin, stalls }: Scene): Promise<Row> {
  const memory = async (): Promise<ByProcess> => {
    await sleep(SETTLE_MS);
    return memoryBy({ ...path.processes, ...origin.processes });
  };
  const before = await memory();
  const beganMs = performance.now();
  const target = await watchTarget(admin);
  const { held } = await watchers.ask({ do: "open", endpoint: path.endpoint, target, count });
  const openedMs = performance.now() - beganMs;
  const during = await memory();
  const openingStalls = await stalls("opening");
  const events: number[] = [];
  for (let i = 0; i < EVENTS; i++) events.push(await timeEvent(watchers, admin));
  const eventStalls = await stalls("events came");
  const last = await watchers.ask({ do: "close" });
  const after = await memory();
  const closingStalls = await stalls("closing");
  return {
    case: watches.name,
    variant: `${count} watches`,
    path: path.name,
    figures: [
      { name: "opening", unit: "s", value: openedMs / 1_000 },
      { name: "event to all", unit: "ms", value: median(events) },
      ...memoryFigures("memory before", "MiB", before),
      ...memoryFigures("memory held", "MiB", during),
      ...memoryFigures("memory after", "MiB", after),
      ...memoryFigures("memory a watch", "KiB", difference(during, before, KIB_PER_MIB / held)),
      ...openingStalls,
      ...eventStalls,
      ...closingStalls,
    ],
    ...failuresOf(last),
  };
}

/** @returns how long one event took to all watches, in milliseconds */
async function timeEvent(watchers: Watchers, admin: CoreV1Api): Promise<number> {
  const reaching = watchers.ask({ do: "event" });
  const beganMs = performance.timeOrigin + performance.now();
  await admin.createNamespacedConfigMap({ namespace: NAMESPACE, body: { metadata: { generateName: "event-" } } });
  return (await reaching).lastAtMs - beganMs;
}

function failuresOf({ failures, firstFailure = "" }: WatchAnswer): Pick<Row, "failures"> {
  return failures === 0 ? {} : { failures: { count: failures, first: firstFailure } };
}

/** What a watch asks for: what happens from now on. */
async function watchTarget(admin: CoreV1Api): Promise<string> {
  const { metadata } = await admin.listNamespacedConfigMap({ namespace: NAMESPACE, limit: 1 });
  return `/api/v1/namespaces/${NAMESPACE}/configmaps?watch=1&timeoutSeconds=3600&resourceVersion=${metadata?.resourceVersion}`;
}

/** Makes the namespace, once: a later run finds it there. @throws Error without an administrator */
async function prepare({ adminKubeconfig }: Origin): Promise<CoreV1Api> {
  if (adminKubeconfig === undefined) throw new Error("this case needs an administrator of the cluster");
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromFile(adminKubeconfig);
  const core = kubeconfig.makeApiClient(CoreV1Api);
  const { items } = await core.listNamespace();
  if (!items.some(({ metadata }) => metadata?.name === NAMESPACE)) {
    await core.createNamespace({ body: { metadata: { name: NAMESPACE } } });
  }
  return core;
}
