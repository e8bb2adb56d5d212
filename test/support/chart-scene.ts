import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Tunnel } from "@fairlead/demo";
import { parse, parseAllDocuments, stringify } from "yaml";
import type { KubernetesObject } from "./api-client.ts";
import { CHARTS, Helm } from "./helm.ts";
import type { Kubectl } from "./kubectl.ts";
import type { RealNode } from "./real-node.ts";
import { RunningProgram } from "./running-program.ts";
import { importServiceImages, type ServiceImages } from "./service-images.ts";
import { sharedNode } from "./shared-node.ts";
import { alice } from "./tunnel.ts";

/** The cluster's name at the relay, and its namespace for what connects it. */
export const [CLUSTER, NAMESPACE] = ["quay", "fairlead"];

/** How a program ended, and what it said. */
interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A relay on this machine, and a real node whose pods reach it, with the services' images; nothing is connected yet. */
export class ChartScene {
  readonly node: RealNode;
  /** A folder of this scene's. */
  readonly dir: string;
  readonly tunnel: Tunnel;
  readonly helm: Helm;

  readonly #images: ServiceImages;

  private constructor(node: RealNode, dir: string, tunnel: Tunnel, helm: Helm, images: ServiceImages) {
    this.#images = images;
    this.node = node;
    this.dir = dir;
    this.tunnel = tunnel;
    this.helm = helm;
  }

  /**
   * Alice may do everything in the cluster; the namespace takes only pods that are restricted (Pod Security).
   *
   * @param relayConfig more of the relay's configuration (docs/reference/relay-config.md)
   */
  static async start(relayConfig: object = {}): Promise<ChartScene> {
    const node = await sharedNode();
    const [dir, host] = [await mkdtemp(join(node.dir, "charts-")), node.hostAddress];
    const folder = join(dir, "open");
    const impersonatorKubeconfig = ""; // there is no identity proxy on this machine
    const of = { cluster: CLUSTER, person: alice, impersonatorKubeconfig };
    const tunnel = await Tunnel.create({ folder, host, relayConfig, ...of });
    await tunnel.startRelay();
    const images = await importServiceImages(node, ["agent", "identity-proxy"]);
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    await node.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels } });
    await node.admin(["create", "clusterrolebinding", "alice", "--clusterrole=cluster-admin", `--user=${alice.email}`]);
    const authentication = parse(await readFile(tunnel.file("identity-proxy-authentication.yaml"), "utf8"));
    const values = {
      cluster: CLUSTER,
      relay: { url: tunnel.relayUrl, certificateAuthority: await readFile(tunnel.file("ca.crt"), "utf8") },
      authentication: { jwt: authentication.jwt },
      image: { ...images, pullPolicy: "Never" },
    };
    await writeFile(join(dir, "values.yaml"), stringify(values));
    return new ChartScene(node, dir, tunnel, await Helm.find(dir), images);
  }

  /** The values that every installation needs. */
  get valuesFile(): string {
    return join(this.dir, "values.yaml");
  }

  /** Runs helm on the node's release `fairlead`; it waits until all pods are ready. */
  release(verb: "install" | "upgrade", ...more: string[]): Promise<string> {
    const chart = join(CHARTS, "fairlead-agent");
    const wait = ["--wait", "--timeout=90s"];
    return this.helm.run(
      [verb, "fairlead", chart, "--namespace", NAMESPACE, "--values", this.valuesFile, ...wait, ...more],
      this.node.kubeconfig,
    );
  }

  /** What the chart makes of the values. @throws Error with what helm says if it refuses them */
  async render(...more: string[]): Promise<KubernetesObject[]> {
    const args = ["template", "fairlead", join(CHARTS, "fairlead-agent"), "--namespace", NAMESPACE];
    const text = await this.helm.run([...args, "--values", this.valuesFile, ...more]);
    return parseAllDocuments(text).map((document) => document.toJSON());
  }

  /** Puts a join token where the chart looks for it. */
  async join(token: string): Promise<void> {
    const secret = ["create", "secret", "generic", "fairlead-join-token", "--namespace", NAMESPACE];
    await this.node.admin([...secret, `--from-literal=token=${token.trim()}`]);
  }

  /** What the administrator of the relay runs. @returns what it prints */
  administrate(...args: string[]): Promise<string> {
    return this.tunnel.cli(this.tunnel.administrator, ...args);
  }

  /** What `fairlead connect` does for whoever keeps relay and cluster, of the images that the node has. */
  connect(...more: string[]): Promise<Outcome> {
    return outcomeOf(this.startConnect(...more));
  }

  /** The same, under way. */
  startConnect(...more: string[]): RunningProgram {
    const images = ["--image-repository", this.#images.repository, "--image-tag", this.#images.tag];
    const authentication = ["--authentication", this.tunnel.file("identity-proxy-authentication.yaml")];
    return this.#start("connect", CLUSTER, ...authentication, ...images, "--image-pull-policy", "Never", ...more);
  }

  /** What `fairlead disconnect` does. */
  disconnect(...more: string[]): Promise<Outcome> {
    return outcomeOf(this.#start("disconnect", CLUSTER, ...more));
  }

  /** A context of the administrator's kubeconfig for somebody who has no rights. */
  async contextOfNobody(): Promise<string> {
    await this.node.admin(["create", "serviceaccount", "nobody"]);
    const token = (await this.node.admin(["create", "token", "nobody"])).trim();
    const config = ["config", "--kubeconfig", this.node.kubeconfig];
    await this.node.admin([...config, "set-credentials", "nobody", `--token=${token}`]);
    const cluster = (await this.node.admin([...config, "view", "--output=jsonpath={.clusters[0].name}"])).trim();
    await this.node.admin([...config, "set-context", "nobody", `--cluster=${cluster}`, "--user=nobody"]);
    return "nobody";
  }

  #start(...args: string[]): RunningProgram {
    const relay = ["--relay", this.tunnel.relayUrl, "--relay-ca", this.tunnel.file("ca.crt")];
    const token = ["--token-file", this.tunnel.tokenFile(this.tunnel.administrator)];
    const main = createRequire(import.meta.url).resolve("@fairlead/cli/main");
    const kubeconfig = ["--kubeconfig", this.node.kubeconfig];
    const command = { file: process.execPath, args: [main, ...args, ...relay, ...token, ...kubeconfig] };
    const program = new RunningProgram(command, { env: { ...process.env, ...this.helm.environment } });
    program.endInput();
    return program;
  }

  /** Starts Alice's client proxy. @returns her kubectl through it */
  async proxy(): Promise<Kubectl> {
    await this.tunnel.startProcess("client proxy");
    return this.node.kubectl.against(this.tunnel.kubeconfig);
  }

  async stop(): Promise<void> {
    await this.tunnel.stop();
    await this.node.reset();
  }
}

async function outcomeOf(program: RunningProgram): Promise<Outcome> {
  const { code } = await program.exited;
  return { code, stdout: program.stdout, stderr: program.stderr };
}
