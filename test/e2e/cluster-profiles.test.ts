import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type AuditEvent, AuditLog, actingUser } from "../support/audit-log.ts";
import { eventually } from "../support/eventually.ts";
import { fileOfModule, findGoExamples } from "../support/go-examples.ts";
import { Home } from "../support/home.ts";
import { kubectls } from "../support/kubectls-under-test.ts";
import { MoreClusters } from "../support/more-clusters.ts";
import { createNamespace } from "../support/namespace.ts";
import { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, admin } = await setScene();
const examples = await findGoExamples();
const describeWithGo = examples ? describe : describe.skip;
const MAIN = createRequire(import.meta.url).resolve("@fairlead/cli/main");
const CRD = "config/crd/bases/multicluster.x-k8s.io_clusterprofiles.yaml";

const more = new MoreClusters();
let own: TunnelToTestbed;
let home: Home;
let namespace: string;
beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  await more.add(own.tunnel, ["emea", "apac"], "dev");
  home = await Home.make(cluster.testbed.dir);
  namespace = await createNamespace(admin);
});
afterAll(async () => {
  await more.stop();
  await own?.stop();
});

const ofAlice = () => {
  const { tunnel } = own;
  return ["--relay", tunnel.relayUrl, "--relay-ca", tunnel.file("ca.crt"), "--token-file", tunnel.tokenFile(alice)];
};
const publish = (...args: string[]) => ["cluster-profiles", "--namespace", namespace, ...args, ...ofAlice()];
const toHub = () => ["--kubeconfig", cluster.adminKubeconfig];

async function kubectl(...args: string[]): Promise<string> {
  const hub = kubectls(cluster).at(-1)?.kubectl.against(cluster.adminKubeconfig);
  const outcome = await hub?.run(args);
  if (outcome?.code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${outcome?.stderr}`);
  return outcome.stdout;
}

/** A profile that the hub has. */
interface Profile {
  metadata: { name: string; labels: Record<string, string>; resourceVersion: string };
  spec: object;
  status: { conditions: { status: string }[]; accessProviders: { cluster: { server: string } }[] };
}

async function profiles(): Promise<Record<string, Profile>> {
  const { items }: { items: Profile[] } = JSON.parse(
    await kubectl("get", "clusterprofiles", "-n", namespace, "-o", "json"),
  );
  return Object.fromEntries(items.map((item) => [item.metadata.name, item]));
}

/** Runs the controller on the hub, with the plugin that its provider file names. @param caller the plugin's options */
async function inventory(caller: readonly string[] = ofAlice()) {
  const file = home.file("providers.json");
  const execConfig = {
    ...{ apiVersion: "client.authentication.k8s.io/v1", command: process.execPath, provideClusterInfo: true },
    args: [MAIN, "get-token", ...caller],
  };
  await writeFile(file, JSON.stringify({ providers: [{ name: "fairlead", execConfig }] }));
  const args = [...toHub(), "--namespace", namespace, "--clusterprofile-provider-file", file];
  const program = new RunningProgram({ file: examples?.inventory ?? "", args }, { env: home.env });
  const { code } = await program.exited;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

describeWithGo("the clusters as objects of a hub", () => {
  it("are printed without writing anything, and a hub that cannot have them is told how it can", async () => {
    const printed = await home.run(publish("--dry-run", "--output", "json"));
    expect(printed).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(printed.stdout)).toHaveLength(3);
    const refused = await home.run(publish("--once", ...toHub()));
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/apiserver: the hub has no ClusterProfile objects .* kubectl apply -f https:/);
  });

  it("are published, each with its state and its address at the relay", async () => {
    await kubectl("apply", "-f", await fileOfModule("sigs.k8s.io/cluster-inventory-api", CRD));
    await kubectl("wait", "--for=condition=Established", "crd/clusterprofiles.multicluster.x-k8s.io");
    await profiles(); // kubectl waits for as long as the apiserver says "storage is (re)initializing"
    const outcome = await home.run(publish("--once", "--output", "json", ...toHub()));
    expect(outcome).toMatchObject({ code: 0, stderr: "apac, emea, testbed: published.\n" });
    expect(JSON.parse(outcome.stdout)).toEqual({ published: ["apac", "emea", "testbed"], removed: [] });
    expect((await profiles()).emea).toMatchObject({
      metadata: { labels: { env: "test", "x-k8s.io/cluster-manager": "fairlead" } },
      spec: { displayName: "emea", clusterManager: { name: "fairlead" } },
      status: {
        conditions: [{ type: "ControlPlaneHealthy", status: "True", reason: "Connected" }],
        version: { kubernetes: expect.stringMatching(/^v1\./) },
        accessProviders: [{ name: "fairlead", cluster: { server: `${own.tunnel.relayUrl}/clusters/emea` } }],
      },
    });
  });

  it("are reached by a controller through the relay, as the person whose token its plugin gives", async () => {
    const log = await AuditLog.fromNow(cluster.testbed.auditLog);
    const outcome = await inventory();
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    for (const name of ["apac", "emea", "testbed"]) expect(outcome.stdout).toContain(`${name} namespace default\n`);
    const isControllers = ({ userAgent, requestURI }: AuditEvent): boolean =>
      userAgent?.startsWith("inventory/") === true && requestURI === "/api/v1/namespaces";
    const events = (await log.read()).filter(isControllers);
    expect(events.map(actingUser)).toEqual([alice.email, alice.email, alice.email]);
  });

  it("are reached by a login with the file of a projected token, too", async () => {
    const { tunnel } = own;
    const login = ["login", tunnel.relayUrl, "--relay-ca", tunnel.file("ca.crt"), "--token-file"];
    expect(await home.run([...login, tunnel.tokenFile(alice)])).toMatchObject({ code: 0 });
    const outcome = await inventory([]);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(outcome.stdout).toContain("emea namespace default\n");
  });

  it("do not lead a token elsewhere when somebody has changed an address", async () => {
    const provider = { name: "fairlead", cluster: { server: "https://127.0.0.1:1/clusters/emea" } };
    const patch = JSON.stringify({ status: { accessProviders: [provider] } });
    const emea = ["clusterprofile", "emea", "-n", namespace];
    await kubectl("patch", ...emea, "--subresource", "status", "--type", "merge", "-p", patch);
    const outcome = await inventory();
    expect(outcome).toMatchObject({ code: 1 });
    expect(outcome.stderr).toMatch(/the token is not given for "https:\/\/127.0.0.1:1\/clusters\/emea"/);
    expect(outcome.stdout).toContain("apac namespace default");
    expect(await home.run(publish("--once", ...toHub()))).toMatchObject({ code: 0 });
    expect((await profiles()).emea?.status.accessProviders).toMatchObject([
      { cluster: { server: `${own.tunnel.relayUrl}/clusters/emea` } },
    ]);
  });

  it("follow the relay until Ctrl-C, through its restart; what is not ours is left", async () => {
    const { tunnel } = own;
    const other = { apiVersion: "multicluster.x-k8s.io/v1alpha1", kind: "ClusterProfile" };
    const spec = { clusterManager: { name: "by-hand" } };
    const file = home.file("other.json");
    await writeFile(file, JSON.stringify({ ...other, metadata: { name: "other", namespace }, spec }));
    await kubectl("apply", "-f", file);
    const following = home.start(publish(...toHub()));
    await following.waitForOutput(/published\./);
    await tunnel.cli(tunnel.administrator, "clusters", "delete", "apac");
    await following.waitForOutput(/apac: removed\./);
    expect(Object.keys(await profiles())).toEqual(["emea", "other", "testbed"]);

    await tunnel.processes.relay.end("SIGTERM");
    await following.waitForOutput(/once more in/);
    await tunnel.startProcess("relay");
    await more.stop();
    await eventually(async () => (await profiles()).emea?.status.conditions[0]?.status === "Unknown", {
      what: "emea's object to say that nobody can ask it",
      timeoutMs: 60_000,
    });
    following.signal("SIGINT");
    expect(await following.exited).toMatchObject({ code: 0 });
  });
});
