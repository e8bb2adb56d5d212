import { startTestbed, type TestbedAddress } from "./testbed.ts";
import { alice, startTunnel } from "./tunnel.ts";

/** The cluster that the end-to-end suite drives, through the whole path. */
export interface ClusterUnderTest {
  /** Leads to the cluster as alice@example.com, through the tunnel. */
  readonly kubeconfig: string;
  /** Leads there directly, with all rights: for preparing and checking. */
  readonly adminKubeconfig: string;
  readonly testbed: TestbedAddress;
  /** As in TunnelToTestbed. */
  readonly account: string;
  /** What a client other than `fairlead proxy` needs to reach the cluster as alice. */
  readonly client: { relayUrl: string; relayCa: string; tokenFile: string; cluster: string };
}

const environmentVariable = "FAIRLEAD_CLUSTER_UNDER_TEST";

/** Starts a test bed and the tunnel to it, once for a whole jest run (see e2e-setup.ts), and returns how to stop both. */
export async function startClusterUnderTest(): Promise<() => Promise<void>> {
  const { kubeconfigFor: _, stop, startApiserver: __, stopApiserver: ___, ...testbed } = await startTestbed();
  try {
    const { tunnel, account, stop: stopTunnel } = await startTunnel(testbed);
    const { kubeconfig, relayUrl, cluster } = tunnel;
    const client = { relayUrl, relayCa: tunnel.file("ca.crt"), tokenFile: tunnel.tokenFile(alice), cluster };
    const { adminKubeconfig } = testbed;
    const underTest: ClusterUnderTest = { kubeconfig, adminKubeconfig, testbed, account, client };
    process.env[environmentVariable] = JSON.stringify(underTest);
    return async () => {
      await stopTunnel();
      await stop();
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Where it is, for the test files: jest hands them the environment that the setup has left. */
export async function clusterUnderTest(): Promise<ClusterUnderTest> {
  const cluster = process.env[environmentVariable];
  if (!cluster) {
    throw new Error("no cluster under test: is test/support/e2e-setup.ts jest's globalSetup?");
  }
  return JSON.parse(cluster);
}
