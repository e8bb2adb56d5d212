import type { ClusterUnderTest } from "./cluster-under-test.ts";
import { Kubectl } from "./kubectl.ts";
import {
  chooseKubectls,
  findKubectls,
  type KubectlBinary,
  type StreamingProtocol,
  streamingProtocols,
} from "./kubectl-versions.ts";

const environmentVariable = "FAIRLEAD_KUBECTLS_UNDER_TEST";

/** Asks the machine's kubectls for their versions once for all test files (see e2e-setup.ts). */
export async function findKubectlsUnderTest(builtKubectl: string): Promise<void> {
  const chosen = chooseKubectls(await findKubectls(builtKubectl));
  process.env[environmentVariable] = JSON.stringify(chosen);
}

/** A row of describe.each. */
export interface Row {
  readonly name: string;
  readonly kubectl: Kubectl;
}

/** One per version, for what does not depend on the streaming protocol. */
export function kubectls(cluster: ClusterUnderTest): Row[] {
  return binaries().map((binary) => row(cluster, binary));
}

/** One per version and streaming protocol. */
export function streamingKubectls(cluster: ClusterUnderTest): Row[] {
  return binaries().flatMap((binary) => streamingProtocols(binary).map((protocol) => row(cluster, binary, protocol)));
}

function binaries(): KubectlBinary[] {
  return JSON.parse(process.env[environmentVariable] ?? "[]");
}

function row({ kubeconfig, testbed }: ClusterUnderTest, binary: KubectlBinary, protocol?: StreamingProtocol): Row {
  const options = { binary, kubeconfig, dir: testbed.dir };
  const kubectl = new Kubectl(protocol ? { ...options, protocol } : options);
  return { name: kubectl.name, kubectl };
}
