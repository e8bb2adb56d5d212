import { readFile, readlink, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ApiClient, type KubernetesObject } from "./api-client.ts";
import { Daemon } from "./daemon.ts";
import { eventually } from "./eventually.ts";
import { Kubectl } from "./kubectl.ts";
import { identify } from "./kubectl-versions.ts";
import { runProgram } from "./program.ts";
import { writeCredentials } from "./real-node-credentials.ts";
import { claimPlace, type Place } from "./real-node-place.ts";
import { createTestbedFolder } from "./testbed-folder.ts";
import { buildPart } from "./testbed-programs.ts";

const resolve = createRequire(import.meta.url).resolve;
const readyTimeoutMs = 90_000;
/** Kinds of what tests make outside of namespaces. */
const CLUSTER_WIDE =
  "namespaces,persistentvolumes,clusterroles,clusterrolebindings,customresourcedefinitions,validatingadmissionpolicies,validatingadmissionpolicybindings";

/** Each of its own, beside those of PID and mounts, which end everything with the first process. */
const namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child=KILL", "--mount-proc"];

/** A pod's memory at a time. */
export interface MemorySample {
  /** When the kubelet looked. */
  readonly atMs: number;
  readonly mib: number;
}

/** As the kubelet's `stats/summary` has it, as far as it is read here. */
interface PodStatistics {
  readonly podRef: { readonly name: string; readonly namespace: string };
  readonly memory?: { readonly time: string; readonly workingSetBytes?: number };
}

/**
 * A real Kubernetes of one node with real pods: control plane, scheduler, kubelet, kube-proxy, containerd and CoreDNS, in
 * namespaces of their own. The machine's firewall, mounts and sysctls stay as they are, and pods have no way to the internet.
 * All of it ends with the process that started it, even by SIGKILL. Needs root: see whyNoRealNode.
 */
export class RealNode {
  /** A folder of this run alone; tests may put files there. It goes when the node stops. */
  readonly dir: string;
  /** With all rights. */
  readonly kubeconfig: string;
  /** The test bed's own kubectl, with all rights. */
  readonly kubectl: Kubectl;
  /** This machine's address on the link to the node: where pods reach what listens here. */
  readonly hostAddress: string;
  readonly #place: Place;
  readonly #daemon: Daemon;
  readonly #firstProcess: number;
  /** What is there from the start. */
  #own: ReadonlySet<string> = new Set();

  private constructor(kubectl: Kubectl, dir: string, kubeconfig: string, place: Place, daemon: Daemon, first: number) {
    this.kubectl = kubectl;
    this.dir = dir;
    this.kubeconfig = kubeconfig;
    this.hostAddress = place.addresses.HOST_IP;
    this.#place = place;
    this.#daemon = daemon;
    this.#firstProcess = first;
  }

  /**
   * Builds what is not in the cache yet, some 6 minutes once beside the control plane's, and starts a node: 15 s.
   *
   * @throws Error if it does not come up; its folder, which the message names, stays until a later run
   */
  static async start(): Promise<RealNode> {
    const [controlPlane, bin] = [await buildPart("control-plane"), await buildPart("node")];
    const binary = await identify(join(controlPlane, "kubectl"));
    const [dir, place] = [await createTestbedFolder(), await claimPlace()];
    const { kubeconfig, ...access } = await writeCredentials(dir, place);
    const kubectl = new Kubectl({ binary, kubeconfig, dir });
    await runProgram({ file: "mkdir", args: ["-p", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers"] });
    const script = resolve("@fairlead/test/testbed/node/node.sh");
    // With less of the processor than others: what waits for a node waits long, and tests of timing run beside it.
    const command = { file: "nice", args: ["-n", "5", "unshare", ...namespaces, "bash", script] };
    const variables = { NODE: place.name, RUN: dir, BIN: bin, CONTROL_PLANE: controlPlane, ...place.addresses };
    const daemon = new Daemon(command, dir, { ...process.env, ...variables });
    const api = await ApiClient.create(access);
    try {
      const first = await eventually(() => firstProcessOf(daemon), { what: "the node's first process" });
      await place.connect(first);
      const node = new RealNode(kubectl, dir, kubeconfig, place, daemon, first);
      await node.#ready(api);
      return node;
    } catch (cause) {
      const log = daemon.output.slice(-2_000);
      await daemon.kill();
      await place.leave();
      throw new Error(`the node did not come up; its logs are in ${dir}/log\n${log}`, { cause });
    } finally {
      api.close();
    }
  }

  /** Runs kubectl with all rights. @returns its stdout. @throws Error with what it says if it fails */
  async admin(args: readonly string[], stdin = ""): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl.run(args, { stdin });
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Applies objects, or one: JSON is YAML too. */
  async apply(...objects: KubernetesObject[]): Promise<void> {
    await this.admin(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
  }

  /**
   * Drops all packets between pods and a port of this machine without a word, as a firewall does that has forgotten them.
   *
   * @returns lets them pass again
   */
  async dropPackets(port: number): Promise<() => Promise<void>> {
    const inside = ["--target", String(this.#firstProcess), "--mount", "--net"];
    const rules = ["--dport", "--sport"].map((side) => ["FORWARD", "-p", "tcp", side, String(port), "-j", "DROP"]);
    const iptables = async (verb: string): Promise<void> => {
      for (const rule of rules) await runProgram({ file: "nsenter", args: [...inside, "iptables", verb, ...rule] });
    };
    await iptables("-I");
    return () => iptables("-D");
  }

  /** The working set of each pod of a namespace, as the kubelet saw it last: every 10 s or so. */
  async memoryOf(namespace: string): Promise<Map<string, MemorySample>> {
    const summary = await this.admin(["get", "--raw", `/api/v1/nodes/${this.#place.name}/proxy/stats/summary`]);
    const pods: PodStatistics[] = JSON.parse(summary).pods;
    const samples = new Map<string, MemorySample>();
    for (const { podRef, memory } of pods) {
      if (podRef.namespace !== namespace || memory?.workingSetBytes === undefined) continue;
      samples.set(podRef.name, { atMs: Date.parse(memory.time), mib: memory.workingSetBytes / 2 ** 20 });
    }
    return samples;
  }

  /** Gives the node an image, from an archive as `docker save` writes it; pods need `imagePullPolicy: Never`. */
  async importImage(tar: string): Promise<void> {
    const inside = ["--target", String(this.#firstProcess), "--mount", "--net", "--pid"];
    await runProgram({ file: "nsenter", args: [...inside, "ctr", "--namespace", "k8s.io", "images", "import", tar] });
  }

  /** Takes away all that tests have made in the cluster, and waits until it is gone. */
  async reset(): Promise<void> {
    const all = await this.#objects();
    const made = [...all].filter((name) => !this.#own.has(name));
    const pods = ["pods,deployments,replicasets,statefulsets,daemonsets,jobs", "--all", "--namespace=default"];
    await this.admin(["delete", "--timeout=120s", ...pods]);
    if (made.length > 0) await this.admin(["delete", "--ignore-not-found", "--timeout=120s", ...made]);
  }

  /** What there is of the kinds that belong to no namespace, as kubectl names it: `namespace/default`. */
  async #objects(): Promise<Set<string>> {
    return new Set((await this.admin(["get", CLUSTER_WIDE, "--output=name"])).split("\n").filter(Boolean));
  }

  /** Ends all pods and programs, and removes what they leave. */
  async stop(): Promise<void> {
    await this.#daemon.kill();
    await this.#place.leave();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #ready(api: ApiClient): Promise<void> {
    const isRegistered = (): Promise<boolean> => {
      this.#daemon.checkAlive();
      return api.get(`/api/v1/nodes/${this.#place.name}`).then(
        () => true,
        () => false,
      );
    };
    await eventually(isRegistered, { what: "the kubelet to register the node", timeoutMs: readyTimeoutMs });
    await this.admin(["wait", "--for=condition=Ready", `node/${this.#place.name}`, "--timeout=60s"]);
    const dns = await readFile(resolve("@fairlead/test/testbed/node/coredns.yaml"), "utf8");
    await this.admin(["apply", "-f", "-"], dns.replaceAll("DNS_IP", this.#place.addresses.DNS_IP));
    await this.admin(["rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=60s"]);
    this.#own = await this.#objects();
  }
}

/** The pid of the first process in the namespaces that `unshare` makes, once they are there. */
async function firstProcessOf(unshare: Daemon): Promise<number | undefined> {
  unshare.checkAlive();
  const children = await readFile(`/proc/${unshare.pid}/task/${unshare.pid}/children`, "utf8").catch(() => "");
  const [child = ""] = children.trim().split(" ");
  if (child === "") return undefined;
  const [own, theirs] = await Promise.all(["self", child].map((each) => readlink(`/proc/${each}/ns/net`)));
  return own === theirs ? undefined : Number(child);
}
