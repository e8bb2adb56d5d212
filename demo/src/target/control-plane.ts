import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { CertificateAuthority } from "@fairlead/certificates";
import { CoreV1Api, KubeConfig } from "@kubernetes/client-node";
import { prepareCluster } from "./prepare-cluster.ts";
import type { Target } from "./target.ts";

/** How long the apiserver may take to be ready, in milliseconds. */
const READY_MS = 30_000;

/** The programs of a control plane. */
export interface ControlPlanePrograms {
  etcd: string;
  apiserver: string;
}

/** Finds etcd and kube-apiserver in KUBEBUILDER_ASSETS (envtest's convention) or on the PATH; undefined if not both. */
export function findControlPlane(): ControlPlanePrograms | undefined {
  const folders = [process.env.KUBEBUILDER_ASSETS ?? "", ...(process.env.PATH ?? "").split(delimiter)];
  const find = (name: string): string | undefined =>
    folders
      .filter((folder) => folder !== "")
      .map((folder) => join(folder, name))
      .find(isProgram);
  const etcd = find("etcd");
  const apiserver = find("kube-apiserver");
  return etcd !== undefined && apiserver !== undefined ? { etcd, apiserver } : undefined;
}

/**
 * A real kube-apiserver on a real etcd, on loopback. It has no nodes, so nothing runs in it.
 *
 * @param folder for keys, data and logs
 * @param user the demo's person, who gets the role cluster-admin
 */
export async function controlPlane(programs: ControlPlanePrograms, folder: string, user: string): Promise<Target> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const admin = await writePki(folder);
  const [clientPort, peerPort, port] = await Promise.all([freePort(), freePort(), freePort()]);
  const etcd = start(programs.etcd, etcdFlags(folder, clientPort, peerPort), join(folder, "etcd.log"));
  const apiserver = start(programs.apiserver, apiserverFlags(folder, clientPort, port), join(folder, "apiserver.log"));
  const end = async (): Promise<void> => {
    await Promise.all([kill(apiserver), kill(etcd)]);
  };
  try {
    const kubeconfig = new KubeConfig();
    const cluster = {
      name: "demo",
      server: `https://127.0.0.1:${port}`,
      caFile: join(folder, "ca.crt"),
      skipTLSVerify: false,
    };
    kubeconfig.loadFromClusterAndUser(cluster, { name: "admin", certData: admin.cert, keyData: admin.key });
    await untilReady(kubeconfig, apiserver);
    const impersonatorKubeconfig = join(folder, "identity-proxy.kubeconfig");
    await prepareCluster(kubeconfig, user, "cluster-admin", impersonatorKubeconfig);
    return {
      description: "a real kube-apiserver and etcd on this machine, without nodes",
      cluster: "local",
      impersonatorKubeconfig,
      pids: { etcd: etcd.pid ?? 0, "kube-apiserver": apiserver.pid ?? 0 },
      remove: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function writePki(folder: string): Promise<{ cert: string; key: string }> {
  const authority = await CertificateAuthority.create("fairlead demo cluster authority", 30);
  const server = await authority.issue({ commonName: "kube-apiserver", hosts: ["127.0.0.1", "localhost"], days: 30 });
  const admin = await authority.issue({ commonName: "admin", organization: "system:masters", days: 30 });
  const accounts = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const files = {
    "ca.crt": authority.pem,
    "apiserver.crt": server.cert,
    "apiserver.key": server.key,
    "sa.key": accounts.privateKey.export({ type: "pkcs8", format: "pem" }),
    "sa.pub": accounts.publicKey.export({ type: "spki", format: "pem" }),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return { cert: base64(admin.cert), key: base64(admin.key) };
}

function etcdFlags(folder: string, clientPort: number, peerPort: number): string[] {
  const [client, peer] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
  return [
    ...[`--data-dir=${join(folder, "etcd")}`, `--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=default=${peer}`],
    "--unsafe-no-fsync",
  ];
}

function apiserverFlags(folder: string, etcdPort: number, port: number): string[] {
  const file = (name: string): string => join(folder, name);
  return [
    ...[`--etcd-servers=http://127.0.0.1:${etcdPort}`, `--secure-port=${port}`],
    ...["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"],
    ...[`--tls-cert-file=${file("apiserver.crt")}`, `--tls-private-key-file=${file("apiserver.key")}`],
    ...[`--client-ca-file=${file("ca.crt")}`, "--authorization-mode=RBAC"],
    ...["--service-account-issuer=https://kubernetes.default.svc", `--service-account-key-file=${file("sa.pub")}`],
    ...[`--service-account-signing-key-file=${file("sa.key")}`, "--service-cluster-ip-range=10.96.0.0/16"],
  ];
}

async function untilReady(kubeconfig: KubeConfig, apiserver: ChildProcess): Promise<void> {
  const core = kubeconfig.makeApiClient(CoreV1Api);
  const deadline = Date.now() + READY_MS;
  for (;;) {
    try {
      await core.readNamespace({ name: "default" });
      return;
    } catch (cause) {
      if (apiserver.exitCode !== null || Date.now() > deadline)
        throw new Error("the apiserver did not get ready", { cause });
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

function start(program: string, flags: string[], logFile: string): ChildProcess {
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(program, flags, { stdio: ["ignore", log, log] });
  closeSync(log);
  child.on("error", () => {}); // "exit" or untilReady tells
  return child;
}

/** By SIGKILL: on SIGTERM the apiserver lingers for a minute, and its data goes anyway. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
