import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { CoreV1Api, KubeConfig, Watch } from "@kubernetes/client-node";
import { eventually } from "../support/eventually.ts";
import { setScene } from "../support/scene.ts";
import { countsOf, restingCounts, startTunnel, type TunnelToTestbed, untilCountsAre } from "../support/tunnel.ts";

const { cluster } = await setScene();
let own: TunnelToTestbed;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
});
afterAll(() => own.stop());

describe("a hundred watches that are cancelled", () => {
  it("return every count of lanes, sockets and exchanges to where it was", async () => {
    const kubeconfig = new KubeConfig();
    kubeconfig.loadFromFile(own.tunnel.kubeconfig);
    await kubeconfig.makeApiClient(CoreV1Api).listNamespace();
    const before = await restingCounts(own.tunnel);
    const watches = await Promise.all(Array.from({ length: 100 }, () => openWatch(kubeconfig)));
    const during = await countsOf(own.tunnel);
    expect(during["relay exchanges"]).toBe(100);
    expect(during["client proxy lanes"]).toBeGreaterThanOrEqual(100);
    expect(during["agent exchanges"]).toBe(100);
    for (const watch of watches) watch.abort();
    await eventually(async () => (await countsOf(own.tunnel))["relay exchanges"] === 0, {
      what: "the relay to have no exchange",
      timeoutMs: 5_000,
    });
    await untilCountsAre(own.tunnel, before);
  });
});

async function openWatch(kubeconfig: KubeConfig): Promise<AbortController> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watch = await new Watch(kubeconfig).watch(
    "/api/v1/namespaces",
    {},
    () => resolve(),
    () => {},
  );
  await promise;
  return watch;
}
