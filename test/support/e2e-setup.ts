import { clusterUnderTest, startClusterUnderTest } from "./cluster-under-test.ts";
import { setStop } from "./e2e-teardown.ts";
import { findKubectlsUnderTest } from "./kubectls-under-test.ts";
import setUpPrograms from "./unit-setup.ts";

/** jest's globalSetup of the project `e2e`; jest takes nothing but a default export. */
export default async function setup(): Promise<void> {
  await setUpPrograms();
  setStop(await startClusterUnderTest());
  const { testbed } = await clusterUnderTest();
  await findKubectlsUnderTest(testbed.kubectl);
}
