import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { ApiClient } from "./api-client.ts";
import {
  apiserverCommand,
  type ControlPlane,
  controllerManagerCommand,
  etcdCommand,
  kubeletCommand,
} from "./control-plane.ts";
import { Daemon } from "./daemon.ts";
import { eventually } from "./eventually.ts";

const readyTimeoutMs = 60_000;

/** The programs of one test bed, from their start to their end. */
export class TestbedDaemons {
  private readonly plane: ControlPlane;
  private readonly admin: ApiClient;
  private readonly apiserverFlags: readonly string[];
  private readonly lasting: Daemon[] = [];
  private apiserver: Daemon | undefined;
  private etcd: Daemon | undefined;

  constructor(plane: ControlPlane, admin: ApiClient, apiserverFlags: readonly string[]) {
    this.plane = plane;
    this.admin = admin;
    this.apiserverFlags = apiserverFlags;
  }

  /** The pids of what every request may cost: by name, 0 for what does not run. */
  get pids(): Record<"kube-apiserver" | "etcd", number> {
    return { "kube-apiserver": this.apiserver?.pid ?? 0, etcd: this.etcd?.pid ?? 0 };
  }

  startEtcd(): void {
    this.etcd = new Daemon(etcdCommand(this.plane), this.plane.dir);
    this.lasting.push(this.etcd);
  }

  /** Starts the apiserver, again on the same port and the same etcd, and returns when it is ready. */
  async startApiserver(): Promise<void> {
    this.apiserver = new Daemon(apiserverCommand(this.plane, this.apiserverFlags), this.plane.dir);
    const isReady = (): Promise<boolean> => {
      this.checkAlive();
      return this.admin.get("/readyz").then(
        () => true,
        () => false,
      );
    };
    await eventually(isReady, { what: "kube-apiserver to be ready", timeoutMs: readyTimeoutMs });
  }

  async stopApiserver(): Promise<void> {
    await this.apiserver?.kill();
    this.apiserver = undefined;
  }

  startControllerManager(file: string, kubeconfig: string): void {
    const command = controllerManagerCommand(file, this.plane, kubeconfig);
    this.lasting.push(new Daemon(command, this.plane.dir));
  }

  /** Returns its port. */
  async startKubelet(file: string): Promise<number> {
    // Containers start in a folder of their own; what they write there goes with the test bed.
    const dir = join(this.plane.dir, "node");
    await mkdir(dir);
    const kubelet = new Daemon(kubeletCommand(file, this.plane), dir);
    this.lasting.push(kubelet);
    const port = (): string | undefined => {
      kubelet.checkAlive();
      return kubelet.output.match(/^127\.0\.0\.1:(\d+)\n/)?.[1];
    };
    return Number(await eventually(port, { what: "the kubelet's address" }));
  }

  async stopAll(): Promise<void> {
    await Promise.all([this.stopApiserver(), ...this.lasting.map((daemon) => daemon.kill())]);
  }

  private checkAlive(): void {
    for (const daemon of [...this.lasting, ...(this.apiserver ? [this.apiserver] : [])]) {
      daemon.checkAlive();
    }
  }
}
