import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "./program.ts";
import type { TestbedPki } from "./testbed-pki.ts";
import type { TestbedPrograms } from "./testbed-programs.ts";

/** How the programs of the control plane are started. */
export interface ControlPlane {
  readonly dir: string;
  readonly programs: TestbedPrograms;
  readonly pki: TestbedPki;
  readonly ports: { readonly etcd: number; readonly etcdPeer: number; readonly apiserver: number };
}

export const auditLogFile = (dir: string): string => join(dir, "audit.log");
const auditPolicyFile = (dir: string): string => join(dir, "audit-policy.json");

/**
 * One event per request, and for watches and upgrades a second one as soon as they have started, so that a test can
 * wait for a watch to be open and for it to be over.
 */
export function writeAuditPolicy(dir: string): Promise<void> {
  const policy = {
    apiVersion: "audit.k8s.io/v1",
    kind: "Policy",
    omitStages: ["RequestReceived"],
    rules: [{ level: "Metadata" }],
  };
  return writeFile(auditPolicyFile(dir), JSON.stringify(policy));
}

export function etcdCommand({ dir, programs, ports }: ControlPlane): Command {
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  return {
    file: programs.etcd,
    args: [
      `--data-dir=${join(dir, "etcd")}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      "--unsafe-no-fsync",
      "--log-level=warn",
    ],
  };
}

export function apiserverCommand(plane: ControlPlane, extraFlags: readonly string[]): Command {
  const { dir, programs, pki, ports } = plane;
  return {
    file: programs.kubeApiserver,
    args: [
      `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
      `--secure-port=${ports.apiserver}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      "--endpoint-reconciler-type=none",
      `--tls-cert-file=${pki.apiserver.certFile}`,
      `--tls-private-key-file=${pki.apiserver.keyFile}`,
      `--client-ca-file=${pki.authority.certFile}`,
      "--authorization-mode=RBAC",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${pki.serviceAccountPublicKeyFile}`,
      `--service-account-signing-key-file=${pki.serviceAccountKeyFile}`,
      "--service-cluster-ip-range=10.96.0.0/16",
      // Pods may exist before their namespace's default service account does.
      "--disable-admission-plugins=ServiceAccount",
      "--kubelet-preferred-address-types=InternalIP",
      `--kubelet-certificate-authority=${pki.authority.certFile}`,
      `--kubelet-client-certificate=${pki.apiserverToKubelet.certFile}`,
      `--kubelet-client-key=${pki.apiserverToKubelet.keyFile}`,
      `--audit-policy-file=${auditPolicyFile(dir)}`,
      `--audit-log-path=${auditLogFile(dir)}`,
      // No rotation: tests read one file.
      "--audit-log-maxsize=4096",
      ...extraFlags,
    ],
  };
}

export function controllerManagerCommand(file: string, plane: ControlPlane, kubeconfig: string): Command {
  return {
    file,
    args: [
      `--kubeconfig=${kubeconfig}`,
      `--service-account-private-key-file=${plane.pki.serviceAccountKeyFile}`,
      `--root-ca-file=${plane.pki.authority.certFile}`,
      "--leader-elect=false",
      "--secure-port=0",
      // Nobody sends heartbeats for the node, which must stay ready all the same.
      "--controllers=*,-node-lifecycle-controller",
    ],
  };
}

export function kubeletCommand(file: string, { pki }: ControlPlane): Command {
  return {
    file,
    args: [`-cert=${pki.kubelet.certFile}`, `-key=${pki.kubelet.keyFile}`, `-client-ca=${pki.authority.certFile}`],
  };
}
