import { afterAll, describe } from "@jest/globals";
import { ApiClient } from "./api-client.ts";
import { type ClusterUnderTest, clusterUnderTest } from "./cluster-under-test.ts";

/** What every test file starts from. */
export interface Scene {
  readonly cluster: ClusterUnderTest;
  /** Past everything under test, for preparing and checking. */
  readonly admin: ApiClient;
  /** `describe`, or a skipped one when the cluster has no node to stream from. */
  readonly describeWithNode: typeof describe | typeof describe.skip;
}

/** To be awaited at the top of a test file. */
export async function setScene(): Promise<Scene> {
  const cluster = await clusterUnderTest();
  const { testbed } = cluster;
  const admin = await ApiClient.create({ ...testbed, client: testbed.adminClient });
  afterAll(() => admin.close());
  return { cluster, admin, describeWithNode: testbed.hasNode ? describe : describe.skip };
}
