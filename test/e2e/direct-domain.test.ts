import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { directKubeconfig } from "../support/direct.ts";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import { HttpProxyBox } from "../support/middle-boxes/http-proxy.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
const DOMAIN = "clusters.test";

let own: TunnelToTestbed;
let kubeconfig: string;
/** Stands in for the operator's wildcard DNS: whatever name is asked for, it leads to the relay. */
let names: HttpProxyBox;
let env: Record<string, string>;
beforeAll(async () => {
  own = await startTunnel(cluster.testbed, { relayConfig: { direct: { domain: DOMAIN } } });
  kubeconfig = await directKubeconfig(own.tunnel);
  await own.tunnel.processes["client proxy"].end();
  names = await HttpProxyBox.start(new URL(own.tunnel.relayUrl), "a:b");
  env = { HTTPS_PROXY: `http://a:b@127.0.0.1:${names.port}` };
});
afterAll(async () => {
  await names.stop();
  await own.stop();
});

describe("a cluster by a name of its own", () => {
  it("has that for its address, and no path", async () => {
    const [{ cluster: shown }] = parse(await readFile(kubeconfig, "utf8")).clusters;
    expect(shown.server).toMatch(new RegExp(`^https://${own.tunnel.cluster}\\.${DOMAIN}(:\\d+)?$`));
  });

  it.each(kubectls(cluster))(
    "is read and written by $name, whose plugin gives its token for that name",
    async (row) => {
      const run = (...args: string[]) => row.kubectl.against(kubeconfig).run(args, { env });
      const name = `by-name-${row.kubectl.binary.version.replace(".", "-")}`;
      expect(await run("create", "configmap", name, "--from-literal=a=b")).toMatchObject({ code: 0 });
      expect(await run("get", "configmap", name, "-o", "jsonpath={.data.a}")).toMatchObject({ code: 0, stdout: "b" });
      expect(await run("delete", "configmap", name)).toMatchObject({ code: 0 });
    },
  );
});

describeWithNode.each(streamingKubectls(cluster))("a command in a pod of it, $name", ({ kubectl }) => {
  it("has its input, its output and its exit code", async () => {
    const stdin = Buffer.alloc(300_000, "Fairlead ");
    const args = ["exec", "-i", "p1", "--", "sh", "-c", "sha256sum; exit 7"];
    const outcome = await kubectl.against(kubeconfig).run(args, { env, stdin });
    expect(outcome).toMatchObject({ code: 7 });
    expect(outcome.stdout).toContain(createHash("sha256").update(stdin).digest("hex"));
  });
});
