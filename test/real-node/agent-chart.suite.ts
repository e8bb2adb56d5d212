import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { ChartScene, CLUSTER, NAMESPACE } from "../support/chart-scene.ts";
import { shownMemoryLimits, shownObjects } from "../support/connecting-page.ts";
import { eventually } from "../support/eventually.ts";
import { LOAD_LIMITS, Load } from "../support/load.ts";
import { memoryFromNowOn } from "../support/pod-memory.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";

/** How long the load is that the memory is looked at in, and how many samples of each pod there are of it, at least. */
const OF_LOAD = { forMs: 30_000, samples: 2 };
const container = { name: "web", image: "local/busybox:1", imagePullPolicy: "Never", command: ["sleep", "3600"] };
const web = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default" },
  spec: { terminationGracePeriodSeconds: 0, containers: [container] },
};

/** A pod, as far as it is looked into here. */
interface Pod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec: {
    readonly securityContext: object;
    readonly containers: readonly {
      readonly securityContext: object;
      readonly resources: { readonly limits: { readonly memory: string } };
    }[];
  };
}

/** A binding of rights. */
interface Binding {
  readonly subjects?: readonly { readonly namespace?: string }[];
  readonly roleRef: { readonly kind: string; readonly name: string };
}

describeOnRealNode()("the agent's chart", () => {
  let scene: ChartScene;
  const admin = (...args: string[]) => scene.node.admin(["--namespace", NAMESPACE, ...args]);
  const read = async (...args: string[]) => JSON.parse(await admin("get", "--output=json", ...args));

  beforeAll(async () => {
    scene = await ChartScene.start({ limits: LOAD_LIMITS });
  }, 900_000);

  afterAll(() => scene?.stop());

  it("takes a cluster from nothing to kubectl get pods, by helm and kubectl alone", async () => {
    await scene.join(await scene.administrate("clusters", "create", CLUSTER));
    await scene.release("install");
    const { code, stdout } = await (await scene.proxy()).run(["get", "pods", "--namespace", NAMESPACE]);
    expect(code).toBe(0);
    expect(stdout.match(/^fairlead-(agent|identity-proxy)-\S+ +1\/1 +Running/gm)).toHaveLength(4);
  });

  it("has doctor in the agent's pod, which needs no options and finds nothing", async () => {
    const report = await admin("exec", "deployment/fairlead-agent", "--", "node", "/app/main.js", "doctor");
    expect(report).toMatch(/\nok {7}agent +2 attached\n(ok .*\n){3}\nAll is well\.\n$/);
  });

  it("leaves nothing to do but for the join token, which is of no use any more", async () => {
    await admin("delete", "secret/fairlead-join-token");
    await admin("rollout", "restart", "deployment/fairlead-agent");
    await admin("rollout", "status", "deployment/fairlead-agent", "--timeout=60s");
    const [cluster] = JSON.parse(await scene.administrate("clusters", "--output", "json"));
    expect(cluster).toMatchObject({ name: CLUSTER, state: "Connected" });
  });

  it("runs pods that are restricted: no root, no writable root, no capability, no privilege to gain", async () => {
    const { items } = await read("pods");
    for (const { spec } of items) {
      expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      const [{ securityContext, resources }] = spec.containers;
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      expect(resources.limits.memory).toBeDefined();
      expect([spec.hostNetwork, spec.hostPID, spec.hostIPC]).toEqual([undefined, undefined, undefined]);
    }
    expect(items.length).toBeGreaterThanOrEqual(4);
  });

  it("has at the apiserver the security of pods and the rights that the page for the cluster's owner shows", async () => {
    const [pod, ...roles] = shownObjects();
    const shown = pod?.spec as Pod["spec"] | undefined;
    for (const { spec } of await pods()) {
      expect(spec.securityContext).toEqual(shown?.securityContext);
      const [own, theirs] = [spec, shown].map((of) => of?.containers.map((each) => each.securityContext));
      expect(own).toEqual(theirs);
    }
    for (const { kind, metadata, rules } of roles) {
      expect((await read(`${kind}/${metadata?.name}`)).rules).toEqual(rules);
    }
    const { items } = await read("rolebindings,clusterrolebindings", "--all-namespaces");
    const isOurs = ({ subjects = [] }: Binding) => subjects.some(({ namespace }) => namespace === NAMESPACE);
    const given = items.filter(isOurs).map(({ roleRef }: Binding) => `${roleRef.kind}/${roleRef.name}`);
    expect(given.sort()).toEqual(roles.map(({ kind, metadata }) => `${kind}/${metadata?.name}`).sort());
  });

  it("keeps within its memory's limits, idle and in half a minute of load, as the node's statistics show it", async () => {
    const all = await pods();
    expect(all).toHaveLength(4);
    const names = all.map(({ metadata }) => metadata.name);
    const idle = await memoryFromNowOn(scene.node, NAMESPACE, names);
    const load = new Load(scene.tunnel.kubeconfig, "/api/v1/pods", 16);
    const loaded = await memoryFromNowOn(scene.node, NAMESPACE, names, OF_LOAD);
    const answers = await load.stop();
    expect(Object.keys(answers)).toEqual(["200"]);
    for (const service of ["agent", "identity-proxy"]) {
      const own = all.filter(({ metadata }) => metadata.name.startsWith(`fairlead-${service}-`));
      const samples = (of: Map<string, number[]>) => own.flatMap(({ metadata }) => of.get(metadata.name) ?? []);
      const [most, mostLoaded] = [Math.max(...samples(idle)), Math.max(...samples(loaded))];
      const limits = own.map(({ spec }) => spec.containers.map(({ resources }) => resources.limits.memory));
      process.stderr.write(
        `\n*** memory of ${service}: ${most.toFixed(1)} MiB idle, ${mostLoaded.toFixed(1)} of ${samples(loaded).length} samples under load (${answers["200"]} requests), limits ${limits} ***\n`,
      );
      const limit = shownMemoryLimits()[service] ?? Number.NaN;
      expect(limits).toEqual([[`${limit}Mi`], [`${limit}Mi`]]);
      expect(mostLoaded).toBeGreaterThan(most / 2); // a collection in between may have freed some
      expect(mostLoaded).toBeLessThan(limit);
    }
  }, 240_000);

  it.each([
    {
      account: "fairlead-agent",
      may: {
        "get nodes": "no",
        "list nodes": "yes",
        "get secrets/fairlead-agent-state": "yes",
        "update secrets/fairlead-agent-state": "yes",
        "get secrets/fairlead-agent-link": "no",
        "list secrets": "no",
        "create secrets": "no",
        "get pods": "no",
        "impersonate users": "no",
        "get namespaces/kube-system": "yes",
        "get namespaces/default": "no",
      },
    },
    {
      account: "fairlead-identity-proxy",
      may: { "impersonate users": "yes", "impersonate groups": "yes", "get secrets": "no", "list nodes": "no" },
    },
  ])("gives the account $account what it needs, and no more", async ({ account, may }) => {
    const as = `--as=system:serviceaccount:${NAMESPACE}:${account}`;
    for (const [what, answer] of Object.entries(may)) {
      const { stdout } = await scene.node.kubectl.run(["auth", "can-i", ...what.split(" "), as, "-n", NAMESPACE]);
      expect(`${what}: ${stdout.trim()}`).toBe(`${what}: ${answer}`);
    }
  });

  it.each([
    ["as it comes", [], []],
    ["with --allow-as", ["--set=identityProxy.allowAs=true"], ["--allow-as"]],
  ])("gives the identity proxy what `fairlead rbac` says, %s", async (_what, set, options) => {
    const objects = await scene.render(...set);
    const role = objects.find(
      ({ kind, metadata }) => kind === "ClusterRole" && /identity-proxy/.test(`${metadata?.name}`),
    );
    const printed = parseAllDocuments(await scene.administrate("rbac", ...options)).map((each) => each.toJSON());
    expect(role?.rules).toEqual(printed[0].rules);
  });

  it("tells the identity proxy which Services may be reached, and by itself none", async () => {
    const listed = async (...set: string[]): Promise<string[]> => {
      const args = JSON.stringify(await scene.render(...set)).match(/--service=[^"]+/g);
      return args ?? [];
    };
    expect(await listed()).toEqual([]);
    const two = "--set=identityProxy.services={shop/web:80,db/postgres:5432}";
    expect(await listed(two)).toEqual(["--service=shop/web:80", "--service=db/postgres:5432"]);
  });

  it("takes the values that the page for its users has", async () => {
    const page = await readFile(new URL("../../docs/howto/connect-a-cluster.md", import.meta.url), "utf8");
    const [, values = ""] = /```yaml\n(# values.yaml\n.*?)```/s.exec(page) ?? [];
    const file = join(scene.dir, "page-values.yaml");
    await writeFile(file, values);
    const objects = await scene.render("--values", file);
    expect(objects.map(({ kind }) => kind)).toContain("Deployment");
    expect(JSON.stringify(objects)).toContain("https://login.example.com");
  });

  it.each([
    ["a join token", ["--set=joinToken.value=flj_x"], /joinToken.*additional properties? 'value' not allowed/s],
    ["a relay without TLS", ["--set=relay.url=http://relay.example.com"], /relay.url.*does not match pattern/s],
    ["no issuer", ["--set=authentication.jwt=null"], /authentication.*missing property 'jwt'/s],
    ["a name that is none", ["--set=cluster=Quay_1"], /cluster.*does not match pattern/s],
    ["a pattern of Services", ["--set=identityProxy.services={shop/*:80}"], /services\/0.*does not match pattern/s],
    ["half of a link", ["--set=link.agentSecret=x"], /agentSecret and identityProxySecret go together/],
  ])("refuses %s in its values", async (_what, set, says) => {
    await expect(scene.render(...set)).rejects.toThrow(says);
  });

  it("loses no request when agent and identity proxy are upgraded under load, and an exec stays open throughout", async () => {
    await scene.node.apply(web);
    await scene.node.admin(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]);
    const kubectl = scene.node.kubectl.against(scene.tunnel.kubeconfig);
    const exec = kubectl.start(["exec", "--stdin", "web", "--", "cat"]);
    exec.write("begun\n");
    await exec.waitForOutput(/begun/);
    const load = new Load(scene.tunnel.kubeconfig, "/api/v1/namespaces?limit=1", 4);
    const before = await podNames();
    await scene.release(
      "upgrade",
      ...["agent", "identityProxy"].map((one) => `--set=${one}.resources.requests.cpu=21m`),
    );
    await eventually(() => load.count > 1_000, { what: "1,000 requests", timeoutMs: 60_000 });
    const answers = await load.stop();
    expect(Object.keys(answers)).toEqual(["200"]);
    exec.write("still here\n");
    await exec.waitForOutput(/still here/);
    exec.endInput();
    expect(await exec.exited).toMatchObject({ code: 0 });
    await eventually(async () => (await podNames()).every((name) => !before.includes(name)), {
      what: "the end of the old pods",
      timeoutMs: 60_000,
    });
  }, 240_000);

  it("gives a way up on which packets are dropped without a word, at both ends, and takes the next one", async () => {
    const pass = await scene.node.dropPackets(Number(new URL(scene.tunnel.relayUrl).port));
    try {
      const said = () => admin("logs", "--selector=app.kubernetes.io/name=fairlead-agent", "--since=60s", "--prefix");
      const givenUp = async () => (await said()).match(/the peer does not answer pings/g)?.length === 2;
      await eventually(givenUp, { what: "both agents to give the relay up" });
      const [cluster] = await eventually(
        async () => {
          const clusters = JSON.parse(await scene.administrate("clusters", "--output", "json"));
          return clusters[0].state === "Offline" && clusters;
        },
        { what: "the relay to give the agents up", timeoutMs: 60_000 },
      );
      expect(cluster.reason).toMatch(/no heartbeat in time/);
    } finally {
      await pass();
    }
    const kubectl = scene.node.kubectl.against(scene.tunnel.kubeconfig);
    const works = async () => (await kubectl.run(["get", "--raw", "/readyz"])).code === 0;
    await eventually(works, { what: "the agents to be back" });
  }, 240_000);

  it("is upgraded and rolled back with the same link and the same state, and leaves nothing when it is uninstalled", async () => {
    const before = await Promise.all(["link", "state"].map((each) => read(`secret/fairlead-agent-${each}`)));
    await scene.release("upgrade", "--set=agent.replicas=1");
    const helm = (...args: string[]) => scene.helm.run([...args, "--namespace", NAMESPACE], scene.node.kubeconfig);
    await helm("rollback", "fairlead", "1", "--wait", "--timeout=60s");
    const after = await Promise.all(["link", "state"].map((each) => read(`secret/fairlead-agent-${each}`)));
    expect(after.map(({ data }) => data)).toEqual(before.map(({ data }) => data));
    expect((await read("deployment/fairlead-agent")).status.readyReplicas).toBe(2);
    await helm("uninstall", "fairlead", "--wait", "--timeout=60s");
    const left = await admin("get", "deployments,secrets,configmaps,roles,networkpolicies", "--output=name");
    expect(left.trim()).toBe("configmap/kube-root-ca.crt");
    expect(await scene.node.admin(["get", "clusterroles,clusterrolebindings", "--output=name"])).not.toMatch(
      /fairlead/,
    );
  });

  /** Those that are not on their way out. */
  async function pods(): Promise<Pod[]> {
    const { items } = await read("pods");
    return items.filter(({ metadata }: Pod) => metadata.deletionTimestamp === undefined);
  }

  async function podNames(): Promise<string[]> {
    return (await scene.node.admin(["get", "pods", "--namespace", NAMESPACE, "--output=name"])).trim().split("\n");
  }
});
