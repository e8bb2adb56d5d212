import { RunningProgram } from "@fairlead/test/support/running-program";
import { findTestbedPrograms } from "@fairlead/test/support/testbed-programs";
import { LoadGenerator } from "../load/load-generator.ts";
import type { LoadResult } from "../load/load-job.ts";
import { slowDownload, slowUpload } from "../load/slow-peer.ts";
import { WatchChurn } from "../load/watches.ts";
import type { Origin } from "../origin/origin.ts";
import type { Path } from "../path/path.ts";
import { createObjects, LIST_TARGET } from "./fixed-rate.ts";

const GETS_PER_SECOND = 50;
const LISTS_PER_SECOND = 1;
/** About as long as the apiserver's. */
const FAST_LIST_TARGET = "/bulk?bytes=60000";
const WATCHES_PER_MINUTE = 1_000;
const WATCH_HOLD_MS = 1_000;
const SLOW_BYTES_PER_SECOND = 100_000;
/** More than can be carried in the time. */
const ENDLESS_BYTES = 10_000_000_000;
const KEYSTROKE_MS = 1_000;

/** A load that goes on for the time that it was started for. */
export interface Mix {
  /** Waits for the end of the time, and ends what has no end of its own. */
  end(): Promise<MixOutcome>;
}

/** What came of a load. */
export interface MixOutcome {
  readonly gets: LoadResult;
  /** How much was done, by what. */
  readonly done: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

/** GETs, lists, watches that are cancelled, and an exec. @param seconds how long GETs and lists go on */
export async function startApiserverMix(origin: Origin, path: Path, seconds: number): Promise<Mix> {
  await createObjects(origin);
  const steady = await startSteadyLoad(path, { get: origin.smallGet, list: LIST_TARGET }, seconds);
  const watched = "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=60";
  const churn = new WatchChurn(path.endpoint, watched, WATCHES_PER_MINUTE, WATCH_HOLD_MS);
  const echo = await startEcho(path);
  return {
    end: async () => {
      const { gets, done, failures } = await steady.end();
      await churn.stop();
      const keystrokes = await echo?.end();
      return {
        gets,
        done: { ...done, "watches cancelled": churn.cancelled, ...keystrokes?.done },
        failures: [...failures, churn.firstFailure ?? [], keystrokes?.failure ?? []].flat(),
      };
    },
  };
}

/** GETs, downloads as long as lists, a slow reader, a slow writer, and one that never reads. */
export async function startFastOriginMix(origin: Origin, path: Path, seconds: number): Promise<Mix> {
  const steady = await startSteadyLoad(path, { get: origin.smallGet, list: FAST_LIST_TARGET }, seconds);
  const download = `/bulk?bytes=${ENDLESS_BYTES}`;
  const peers = {
    "slow read, MB": await slowDownload(path.endpoint, download, SLOW_BYTES_PER_SECOND),
    "slow written, MB": await slowUpload(path.endpoint, "/upload", ENDLESS_BYTES, SLOW_BYTES_PER_SECOND),
    "never read, MB": await slowDownload(path.endpoint, download, 0),
  };
  return {
    end: async () => {
      const { gets, done, failures } = await steady.end();
      const each = Object.entries(peers);
      const lost = each.flatMap(([name, { failure }]) => (failure === undefined ? [] : [`${name}: ${failure}`]));
      for (const [, peer] of each) peer.stop();
      const carried = Object.fromEntries(each.map(([name, { bytes }]) => [name, bytes / 1e6]));
      return { gets, done: { ...done, ...carried }, failures: [...failures, ...lost] };
    },
  };
}

/** GETs and lists at fixed rates, each by a process of its own. */
async function startSteadyLoad(
  { endpoint }: Path,
  targets: { readonly get: string; readonly list: string },
  seconds: number,
): Promise<Mix> {
  const timed = { kind: "open loop", endpoint, warmUpMs: 0, measureMs: seconds * 1_000 } as const;
  const loads = [await LoadGenerator.start(), await LoadGenerator.start()] as const;
  const [getLoad, listLoad] = loads;
  const running = Promise.all([
    getLoad.run({ ...timed, target: targets.get, perSecond: GETS_PER_SECOND }),
    listLoad.run({ ...timed, target: targets.list, perSecond: LISTS_PER_SECOND }),
  ]);
  running.catch(() => {}); // whoever awaits the end hears of it
  return {
    end: async () => {
      try {
        const [gets, lists] = await running;
        return { gets, done: { GETs: gets.requests, lists: lists.requests }, failures: failuresOf({ gets, lists }) };
      } finally {
        await Promise.all(loads.map((load) => load.stop()));
      }
    },
  };
}

function failuresOf(results: Readonly<Record<string, LoadResult>>): string[] {
  return Object.entries(results).flatMap(([name, { failures, firstFailure }]) =>
    Array.from({ length: failures }, () => `${name}: ${firstFailure}`),
  );
}

/** An exec that stays, and a keystroke a second on it; undefined where the test bed has no node. */
async function startEcho({ kubeconfig = "" }: Path) {
  const { kubectl, kubelet } = await findTestbedPrograms();
  if (kubelet === undefined) return undefined;
  const args = [`--kubeconfig=${kubeconfig}`, "exec", "--stdin", "p1", "--", "cat"];
  const exec = new RunningProgram({ file: kubectl, args });
  let written = 0;
  const timer = setInterval(() => {
    written += 1;
    exec.write(`${written}\n`);
  }, KEYSTROKE_MS);
  return {
    end: async () => {
      clearInterval(timer);
      exec.endInput();
      await exec.exited;
      const echoed = exec.stdout.split("\n").length - 1;
      const failure = echoed === written ? undefined : `exec: ${echoed} of ${written} keystrokes came: ${exec.stderr}`;
      return { done: { "keystrokes echoed": echoed }, failure };
    },
  };
}
