import { setTimeout as delay } from "node:timers/promises";
import { type CheckResult, TITLES } from "@fairlead/diagnosis";
import type { KubernetesObject, V1Pod } from "@kubernetes/client-node";
import { doctorPod } from "./doctor-pod.ts";
import { type Check, type Finding, judged, type Look, skipped } from "./finding.ts";
import { AGENT_CONTAINER } from "./installation.ts";
import type { Installer } from "./installer.ts";
import { parsed } from "./parsed.ts";
import type { Right, TargetCluster } from "./target-cluster.ts";

/** How often the pod is looked at, how long it may take to start, and to end: in milliseconds. */
const [LOOK_MS, START_MS, END_MS] = [500, 30_000, 60_000];
/** Those of doctor's checks that are about the way; what comes after them is of an agent that has joined. */
const WAY = ["connection", "proxy", "tls", "http2", "grpc", "clock", "version"];
/** Those whose sentences people are told when all is well. */
const TOLD = ["name", "connection", "grpc", "version"];
const DNS_REMEDY = "see to the cluster's DNS, or give the relay's address as the cluster knows it with --cluster-relay";
const IMAGE_REMEDY = "build and push it (docs/howto/connect-a-cluster.md), or give --image-repository and --image-tag";
/** To make a namespace and take it back. */
const NAMESPACE_RIGHTS = ["create", "patch", "delete"].map(
  (verb): Right => ({ verb, group: "", resource: "namespaces" }),
);

/** What is to be made in a cluster, and by what. */
export interface Making {
  target: TargetCluster;
  installer: Installer;
  /** The namespace first, and the agent's Deployment among the others. */
  objects: readonly KubernetesObject[];
  /** Ends the look, with its reason. */
  signal: AbortSignal;
}

/**
 * A look at the way to the relay from inside the cluster, by doctor in a pod that is gone afterwards.
 *
 * It runs in the namespace of the agent, where quotas, policies and registries count for it as they will for the agent. If that
 * is not there yet it is made, stays for what is made next, and is taken back with that.
 */
export function insideLook({ target, installer, objects, signal }: Making): Look {
  const look = async (): Promise<Finding[]> => {
    const missing = await target.missing(NAMESPACE_RIGHTS);
    if (missing.length > 0) throw new Error("that takes a pod in a namespace, which you may not make or remove there");
    await installer.apply(objects.slice(0, 1), signal);
    const pod = doctorPod(objects);
    try {
      await target.apply(pod);
      const withoutImage = await untilEnded(target, pod, signal);
      return withoutImage === undefined ? findings(await target.logOf(pod)) : imageFindings(withoutImage);
    } finally {
      await target.remove(pod);
    }
  };
  return { checks: ["image", "DNS", "egress"], look };
}

/** @returns why its image is not to be had; undefined once it has ended. @throws Error if it does not come to that */
async function untilEnded(target: TargetCluster, pod: V1Pod, signal: AbortSignal): Promise<string | undefined> {
  const startedAt = Date.now();
  for (;;) {
    signal.throwIfAborted();
    const { status }: V1Pod = (await target.read(pod)) ?? {};
    const container = status?.containerStatuses?.find(({ name }) => name === AGENT_CONTAINER);
    const { waiting, running, terminated } = container?.state ?? {};
    if (terminated || status?.phase === "Failed") return undefined; // a mesh's container beside it may run on
    const why = waiting?.message ?? waiting?.reason ?? status?.conditions?.find(isFalse)?.message;
    // ErrImagePull, ImagePullBackOff, ErrImageNeverPull, InvalidImageName (kubelet, pkg/kubelet/images/types.go)
    if (/Image/.test(waiting?.reason ?? "")) return `${pod.spec?.containers[0]?.image} cannot be had: ${why}`;
    const [what, withinMs] = running ? ["ended", END_MS] : ["started", START_MS];
    if (Date.now() - startedAt > withinMs) {
      throw new Error(`a pod there has not ${what} within ${withinMs / 1_000} s${why === undefined ? "" : `: ${why}`}`);
    }
    await delay(LOOK_MS);
  }
}

function imageFindings(why: string): Finding[] {
  return [judged("image", "", `${why}; ${IMAGE_REMEDY}`), ...skipped(["DNS", "egress"], "no pod runs without it")];
}

const isFalse = ({ status }: { status: string }): boolean => status === "False";

/** What doctor's report says, wherever in the log it stands. @throws Error with the log's end if there is none */
function findings(log: string): Finding[] {
  const lines = log.trim().split("\n");
  const checks: CheckResult[] | undefined = lines.map((line) => Object(parsed(line)).checks).find(Array.isArray);
  if (checks === undefined) throw new Error(`doctor makes no report in a pod there, but says: ${lines.at(-1)}`);
  const names = checks.filter(({ check }) => check === "name");
  const way = checks.filter(({ check }) => WAY.includes(check));
  return [judged("image", "the agent's runs there"), partOf("DNS", names, DNS_REMEDY), partOf("egress", way)];
}

/** What some of doctor's checks come to. @param remedy what to do, if doctor's own answer to that is not it */
function partOf(check: Check, results: readonly CheckResult[], remedy?: string): Finding {
  const failed = results.find((result) => result.state === "failed");
  if (failed)
    return judged(check, "", `from a pod there, ${TITLES[failed.check]}: ${failed.seen}; ${remedy ?? failed.remedy}`);
  const seen = results.flatMap((result) => (result.state === "ok" && TOLD.includes(result.check) ? [result.seen] : []));
  if (results.every(({ state }) => state === "ok")) return judged(check, seen.join(", "));
  return { check, state: "skipped", said: "not looked at" };
}
