import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ApiClient } from "./api-client.ts";
import type { KeyPair, Person } from "./certificate-authority.ts";
import { auditLogFile, type ControlPlane, writeAuditPolicy } from "./control-plane.ts";
import { freePorts } from "./free-port.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import { TestbedDaemons } from "./testbed-daemons.ts";
import { createTestbedFolder } from "./testbed-folder.ts";
import { createNode, createRunningPod } from "./testbed-node.ts";
import { createPki } from "./testbed-pki.ts";
import { findTestbedPrograms } from "./testbed-programs.ts";

/** Where a running test bed is; survives JSON, so that it can be told to another process. */
export interface TestbedAddress {
  /** A folder of this run alone; tests may put files there. It goes when the test bed stops. */
  readonly dir: string;
  readonly server: string;
  readonly caFile: string;
  readonly adminKubeconfig: string;
  readonly adminClient: KeyPair;
  /** JSON lines of audit.k8s.io/v1 at level Metadata. */
  readonly auditLog: string;
  readonly kubectl: string;
  readonly hasControllerManager: boolean;
  /** Whether the node n1 with the pods p1 and p2 is there, on which everything that streams depends. */
  readonly hasNode: boolean;
}

/** A real control plane on free ports of loopback, in a folder of its own. */
export interface Testbed extends TestbedAddress {
  /** The pids of the apiserver and of etcd as they run now. */
  pids(): Record<"kube-apiserver" | "etcd", number>;
  /** A kubeconfig with a client certificate for this person, in the test bed's folder. */
  kubeconfigFor(name: string, person: Person): Promise<string>;
  stopApiserver(): Promise<void>;
  /** Again on the same port and the same data; returns when it is ready. */
  startApiserver(): Promise<void>;
  /** Ends every program and removes the folder. */
  stop(): Promise<void>;
}

export interface TestbedOptions {
  /** Added behind our own flags, so that they win. */
  readonly apiserverFlags?: readonly string[];
}

export async function startTestbed({ apiserverFlags = [] }: TestbedOptions = {}): Promise<Testbed> {
  const programs = await findTestbedPrograms();
  const dir = await createTestbedFolder();
  const [pki, ports] = await Promise.all([createPki(dir), freePorts(3), writeAuditPolicy(dir)]);
  const [etcd = 0, etcdPeer = 0, apiserver = 0] = ports;
  const plane = { dir, programs, pki, ports: { etcd, etcdPeer, apiserver } };
  const address = await describe(plane);
  const admin = await ApiClient.create({ ...address, client: address.adminClient });
  const daemons = new TestbedDaemons(plane, admin, apiserverFlags);
  const testbed: Testbed = {
    ...address,
    kubeconfigFor: async (name, person) => {
      const client = await pki.authority.issueClient(name, person);
      return writeKubeconfig(join(dir, `${name}.kubeconfig`), { ...address, client });
    },
    pids: () => daemons.pids,
    stopApiserver: () => daemons.stopApiserver(),
    startApiserver: () => daemons.startApiserver(),
    stop: async () => {
      admin.close();
      await daemons.stopAll();
      await rm(dir, { recursive: true, force: true });
    },
  };
  try {
    await bringUp(plane, address, daemons, admin);
    return testbed;
  } catch (error) {
    await testbed.stop();
    throw error;
  }
}

/** Everything there is to know before the first program runs. */
async function describe({ dir, programs, pki, ports }: ControlPlane): Promise<TestbedAddress> {
  const server = `https://127.0.0.1:${ports.apiserver}`;
  const caFile = pki.authority.certFile;
  const path = join(dir, "admin.kubeconfig");
  return {
    dir,
    server,
    caFile,
    adminKubeconfig: await writeKubeconfig(path, { server, caFile, client: pki.admin }),
    adminClient: pki.admin,
    auditLog: auditLogFile(dir),
    kubectl: programs.kubectl,
    hasControllerManager: programs.kubeControllerManager !== undefined,
    hasNode: programs.kubelet !== undefined,
  };
}

async function bringUp(
  { programs }: ControlPlane,
  { adminKubeconfig }: TestbedAddress,
  daemons: TestbedDaemons,
  admin: ApiClient,
): Promise<void> {
  daemons.startEtcd();
  await daemons.startApiserver();
  if (programs.kubeControllerManager) {
    daemons.startControllerManager(programs.kubeControllerManager, adminKubeconfig);
  }
  if (programs.kubelet) {
    await createNode(admin, await daemons.startKubelet(programs.kubelet));
    await Promise.all([createRunningPod(admin, "p1"), createRunningPod(admin, "p2")]);
  }
}
