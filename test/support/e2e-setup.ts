import { tmpdir } from "node:os";
import { join } from "node:path";
import { clusterUnderTest, startClusterUnderTest } from "./cluster-under-test.ts";
import { setStop } from "./e2e-teardown.ts";
import { findKubectlsUnderTest } from "./kubectls-under-test.ts";

/** jest's globalSetup of the project `e2e`; jest takes nothing but a default export. */
export default async function setup(): Promise<void> {
  // Hundreds of processes are started, which would all compile the same files.
  process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "fairlead-compile-cache");
  setStop(await startClusterUnderTest());
  const { testbed } = await clusterUnderTest();
  await findKubectlsUnderTest(testbed.kubectl);
}
