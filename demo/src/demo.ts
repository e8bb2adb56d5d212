import { constants, copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check } from "./check.ts";
import { firstRequest, type HopMilliseconds } from "./first-request.ts";
import { step, tell } from "./progress.ts";
import { controlPlane, findControlPlane } from "./target/control-plane.ts";
import { embeddedCluster } from "./target/embedded-cluster.ts";
import { ownCluster } from "./target/own-cluster.ts";
import type { Target } from "./target/target.ts";
import { Tunnel } from "./tunnel.ts";

/** What the demo was asked for. */
export interface DemoOptions {
  context?: string;
  kubeconfig?: string;
  role: string;
  write?: string;
  output: "text" | "json";
  check?: boolean;
}

const PERSON = { email: "demo@fairlead.dev", groups: ["demo"] };

/** The whole tunnel on this machine. */
export class Demo {
  readonly #options: DemoOptions;
  #folder = "";
  #written: string | undefined;
  #target: Promise<Target> | undefined;
  #tunnel: Tunnel | undefined;

  constructor(options: DemoOptions) {
    this.#options = options;
  }

  /** Starts all, sends a first request, and says how to go on. @returns the exit code, if the demo is to end by itself */
  async run(): Promise<number | undefined> {
    this.#folder = await mkdtemp(join(tmpdir(), "fairlead-demo-"));
    tell("Fairlead demo: the whole path on this machine. Its OpenID issuer is for trials only.");
    this.#target = this.#startTarget();
    const starting = this.#target;
    const target = await step("cluster", () => starting);
    tell(`    ${target.description}`);
    const tunnel = await this.#createTunnel(target);
    this.#tunnel = tunnel;
    await step("tunnel: issuer, relay, identity proxy, agent, client proxy", () => tunnel.start());
    const hops = await step("first request", () => firstRequest(tunnel.kubeconfig));
    const kubeconfig = this.#options.write ?? tunnel.kubeconfig;
    if (this.#options.write) await this.#write(tunnel.kubeconfig, this.#options.write);
    if (this.#options.output === "json") this.#printJson(tunnel, target, kubeconfig, hops);
    else printText(kubeconfig, hops);
    if (!this.#options.check) return undefined;
    tell("Checking the path:");
    return (await check(tunnel.kubeconfig)) ? 0 : 1;
  }

  /** Ends every process and removes what was made. */
  async end(): Promise<void> {
    await Promise.allSettled([this.#tunnel?.stop(), this.#target?.then((target) => target.remove())]);
    if (this.#folder !== "") await rm(this.#folder, { recursive: true, force: true });
    if (this.#written !== undefined) await rm(this.#written, { force: true });
  }

  /** Never over a file that is there: it would be gone at the end. */
  async #write(kubeconfig: string, file: string): Promise<void> {
    try {
      await copyFile(kubeconfig, file, constants.COPYFILE_EXCL);
      this.#written = file;
    } catch (cause) {
      throw new Error(`${file} cannot be written, or is there already`, { cause });
    }
  }

  #startTarget(): Promise<Target> {
    const { context, kubeconfig, role } = this.#options;
    if (context !== undefined) return ownCluster({ kubeconfig, context, role }, this.#folder, PERSON.email);
    const programs = findControlPlane();
    if (programs) return controlPlane(programs, join(this.#folder, "control-plane"), PERSON.email);
    return embeddedCluster(this.#folder);
  }

  #createTunnel({ cluster, impersonatorKubeconfig }: Target): Promise<Tunnel> {
    return Tunnel.create({ folder: join(this.#folder, "tunnel"), cluster, person: PERSON, impersonatorKubeconfig });
  }

  #printJson(tunnel: Tunnel, target: Target, kubeconfig: string, hops: HopMilliseconds): void {
    const own = Object.entries(tunnel.processes).map(([name, { pid }]) => [name, pid]);
    const pids = { ...Object.fromEntries(own), ...target.pids };
    const cluster = target.description;
    process.stdout.write(
      `${JSON.stringify({ ready: true, kubeconfig, relay: tunnel.relayUrl, cluster, pids, hopMilliseconds: hops })}\n`,
    );
  }
}

function printText(kubeconfig: string, hops: HopMilliseconds): void {
  const total = Object.values(hops).reduce((sum, own) => sum + own, 0);
  const lines = Object.entries(hops).map(([hop, own]) => `    ${hop.padEnd(16)}${own.toFixed(2).padStart(7)} ms`);
  process.stdout.write(
    `\nA request through the tunnel took ${total.toFixed(2)} ms (each hop with the way to the next):\n${lines.join("\n")}\n\n` +
      `kubectl is ready, in another terminal:\n    export KUBECONFIG=${kubeconfig}\n    kubectl get pods\n\n` +
      "Ctrl-C ends the demo and removes what it made.\n",
  );
}
