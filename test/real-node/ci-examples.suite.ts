import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { actionSteps, type JobOutcome, runJob, templateSteps } from "../support/ci-runner.ts";
import { azureClaims, CiTokens, githubClaims } from "../support/ci-tokens.ts";
import { eventually } from "../support/eventually.ts";
import { Helm } from "../support/helm.ts";
import type { RealNode } from "../support/real-node.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import { sharedNode } from "../support/shared-node.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { countsOf, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";
import { makeUserCommands } from "../support/user-commands.ts";

const EXAMPLES = join(import.meta.dirname, "../../examples/ci");
const example = async (file: string) => parse(await readFile(join(EXAMPLES, file), "utf8"));
const ACTION = await example("github-actions/action.yml");
const TEMPLATE = await example("azure-pipelines/fairlead.yml");
/** What the workflow, the pipeline and the job hand over, but for their relay and cluster. */
const WORKFLOW = (await example("github-actions/deploy.yml")).jobs.deploy.steps.at(-1).with;
const PIPELINE = (await example("azure-pipelines/azure-pipelines.yml")).jobs[0].strategy.runOnce.deploy.steps.at(
  -1,
).parameters;
const JOB = (await example("gitlab/.gitlab-ci.yml")).deploy;
/** What the issuers' entries are, as docs/reference/issuers.md has them. */
const GROUPS = `["github:repository:" + claims.repository] +
  (has(claims.environment) ? ["github:environment:" + claims.repository + ":" + claims.environment] : [])`;

describeOnRealNode()("the CI examples, on a real node", () => {
  let node: RealNode;
  let own: TunnelToTestbed;
  let issuer: SigningIssuer;
  let tokens: CiTokens;
  let folder: string;
  let env: Record<string, string>;
  let jobs = 0;

  beforeAll(async () => {
    [node, issuer] = await Promise.all([sharedNode(), SigningIssuer.start()]);
    tokens = await CiTokens.start(issuer);
    const { issuer: shown } = Object(issuer.entry(["fairlead", "api://AzureADTokenExchange"]));
    const entry = {
      issuer: shown,
      claimMappings: {
        username: { claim: "sub", prefix: "ci:" },
        groups: { expression: `has(claims.repository) ? ${GROUPS} : []` },
      },
    };
    const entries = [entry];
    own = await startTunnel(
      { dir: node.dir, adminKubeconfig: node.kubeconfig },
      { moreIssuers: { relay: entries, identityProxy: entries } },
    );
    const { tunnel } = own;
    const rule = (name: string, ...who: string[]) =>
      tunnel.cli(tunnel.administrator, "rules", "create", name, "--cluster", tunnel.cluster, ...who);
    await rule("github", "--group", "github:environment:acme/shop:production");
    await rule("main", "--user", "ci:repo:acme/shop:ref:refs/heads/main");
    await rule("azure", "--user", "ci:sc://acme/shop/production");
    await node.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
    const edit = ["create", "rolebinding", "ci", "--namespace", "shop", "--clusterrole=edit"];
    await node.admin([
      ...[...edit, "--group=github:environment:acme/shop:production", "--user=ci:sc://acme/shop/production"],
    ]);
    const helm = await Helm.find(node.dir);
    const bin = join(node.dir, "bin");
    await makeUserCommands(bin, node.kubectl.binary.path);
    env = { ...helm.environment, PATH: `${bin}:${helm.environment.PATH}` };
  }, 900_000);

  afterAll(async () => {
    await own?.stop();
    tokens?.stop();
    issuer?.stop();
    await node?.reset();
  });

  beforeEach(async () => {
    tokens.github = githubClaims();
    tokens.azure = azureClaims();
    folder = join(node.dir, `job-${++jobs}`);
    await mkdir(join(folder, "deploy"), { recursive: true });
    await mkdir(join(folder, "chart", "templates"), { recursive: true });
    await writeFile(join(folder, "deploy", "settings.yaml"), JSON.stringify(SETTINGS));
    await writeFile(
      join(folder, "chart", "Chart.yaml"),
      JSON.stringify({ apiVersion: "v2", name: "web", version: "1.0.0" }),
    );
    await writeFile(join(folder, "chart", "templates", "web.yaml"), WEB);
  });

  async function github(run: string = WORKFLOW.run, more: Record<string, string> = {}): Promise<JobOutcome> {
    const { tunnel } = own;
    const at = { relay: tunnel.relayUrl, "relay-ca": tunnel.file("ca.crt"), cluster: tunnel.cluster };
    const steps = actionSteps(ACTION, { ...WORKFLOW, ...at, run }, join(folder, "temp"));
    return runJob("github", steps, folder, { ...env, ...tokens.githubEnv, ...more });
  }

  async function azure(run: string = PIPELINE.run): Promise<JobOutcome> {
    const { tunnel } = own;
    const at = { relay: tunnel.relayUrl, relayCa: tunnel.file("ca.crt"), cluster: tunnel.cluster };
    const steps = templateSteps(TEMPLATE, { ...PIPELINE, ...at, run }, tokens.secret);
    return runJob("azure", steps, folder, { ...env, ...tokens.azureEnv, AGENT_TEMPDIRECTORY: join(folder, "temp") });
  }

  describe.each([
    ["GitHub Actions", github],
    ["Azure Pipelines", azure],
  ])("%s", (_name, job) => {
    it("applies manifests and upgrades a release whose pods run then", async () => {
      const { code, log } = await job();
      expect([code, log]).toEqual([
        0,
        expect.stringMatching(/configmap\/settings (created|configured|unchanged)[\s\S]*STATUS: deployed/),
      ]);
      const pods = await node.admin(["get", "pods", "-n", "shop", "-o", "jsonpath={.items[*].status.phase}"]);
      expect(pods).toMatch(/^Running/);
    });

    it("ends as its script ends, and shows no token", async () => {
      const { code, log } = await job("echo begun\nkubectl get pods -n kube-system\necho not reached");
      expect(code).toBe(1);
      expect(log).toMatch(/begun[\s\S]*Forbidden/);
      expect(log).not.toContain("not reached");
      for (const token of [...tokens.given, tokens.secret]) expect(log).not.toContain(token);
    });

    it("leaves no process and no secret behind", async () => {
      await job();
      const files = await readdir(folder, { recursive: true, withFileTypes: true });
      for (const file of files.filter((each) => each.isFile())) {
        const text = await readFile(join(file.parentPath, file.name), "utf8");
        for (const token of [...tokens.given, tokens.secret]) expect(text).not.toContain(token);
      }
      const processes = await Promise.all(
        (await readdir("/proc"))
          .filter((name) => /^\d+$/.test(name))
          .map((pid) => readFile(`/proc/${pid}/environ`, "utf8").catch(() => "")),
      );
      expect(processes.filter((environ) => environ.includes(`${folder}/temp`))).toEqual([]);
    });

    it("fails when a command in a pod loses its connection, though kubectl over SPDY would say that all went well", async () => {
      await job(); // the pod
      const spdy = "export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false";
      const ended = job(`${spdy}\nkubectl exec -n shop deploy/web -- sh -c 'echo begun; sleep 60'\necho not reached`);
      await eventually(async () => ((await countsOf(own.tunnel))["agent exchanges"] ?? 0) > 0, { what: "the exec" });
      await sleep(1_000); // a first request of kubectl's may have been it
      await own.tunnel.processes.agent.end("SIGKILL");
      const { code, log } = await ended;
      await own.tunnel.startProcess("agent");
      expect([code, log]).toEqual([1, expect.stringMatching(/begun\n[\s\S]*error: fairlead: .* was lost while/)]);
      expect(log).not.toContain("not reached");
    });

    it("gives its script nothing that would get it tokens", async () => {
      const { code, log } = await job("env\n! env | grep -E '^(ACTIONS_ID_TOKEN|SYSTEM_ACCESS)'");
      expect([code, log]).toEqual([0, expect.not.stringContaining(tokens.secret)]);
    });
  });

  it("lets a job in by its branch, where the rule is for that", async () => {
    tokens.github = githubClaims({ environment: undefined, sub: "repo:acme/shop:ref:refs/heads/main" });
    expect(await github("kubectl get --raw /version")).toMatchObject({ code: 0 });
  });

  it("does not let a job in of another service connection", async () => {
    tokens.azure = azureClaims({ sub: "sc://acme/other/production" });
    const { code, log } = await azure();
    expect([code, log]).toEqual([1, expect.stringMatching(/there is no cluster testbed, or you have no access to it/)]);
  });

  it("names the service connection in a task of its stage, without which Azure gives no token for it", () => {
    const named = TEMPLATE.steps.filter(({ task }: { task?: string }) => task !== undefined);
    expect(named).toMatchObject([
      { condition: false, inputs: { azureSubscription: expect.stringContaining("parameters.serviceConnection") } },
    ]);
  });

  it.each([
    ["of another repository", { repository: "acme/other", sub: "repo:acme/other:environment:production" }],
    ["of another environment", { environment: "test", sub: "repo:acme/shop:environment:test" }],
    ["of no environment, as of a branch", { environment: undefined, sub: "repo:acme/shop:ref:refs/heads/x" }],
  ])("does not let a job in %s", async (_what, claims) => {
    tokens.github = githubClaims(claims);
    const { code, log } = await github();
    expect([code, log]).toEqual([1, expect.stringMatching(/there is no cluster testbed, or you have no access to it/)]);
  });

  it("says what to do in a job that may have no token", async () => {
    const { code, log } = await github(WORKFLOW.run, { ACTIONS_ID_TOKEN_REQUEST_URL: "" });
    expect([code, log]).toEqual([1, expect.stringMatching(/give its workflow `permissions: id-token: write`/)]);
  });

  it("does not take what is in an input for a script of its own", async () => {
    const { code } = await github('echo "$(id -u)" > run; true', { CLUSTER: "x" });
    expect(code).toBe(0);
    for (const { run } of ACTION.runs.steps) expect(run).not.toContain("${{");
    for (const { bash = "" } of TEMPLATE.steps) expect(bash).not.toContain("${{");
  });

  it("does what GitLab's job does, with the token in its variable", async () => {
    const { tunnel } = own;
    const variables = { ...JOB.variables, FAIRLEAD_RELAY: tunnel.relayUrl, CLUSTER: tunnel.cluster };
    const token = await issuer.token({ ...githubClaims(), aud: JOB.id_tokens.FAIRLEAD_TOKEN.aud });
    const given = { FAIRLEAD_RELAY_CA: tunnel.file("ca.crt"), FAIRLEAD_TOKEN: token };
    const steps = [{ name: "deploy", script: JOB.script.join("\n"), env: { ...variables, ...given } }];
    const { code, log } = await runJob("gitlab", steps, folder, { ...env, XDG_STATE_HOME: join(folder, "state") });
    expect([code, log]).toEqual([0, expect.stringMatching(/STATUS: deployed/)]);
    expect(log).not.toContain(token);
  });
});

const SETTINGS = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "settings", namespace: "shop" },
  data: { greeting: "ahoy" },
};

const WEB = `apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }} }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: local/busybox:1
          imagePullPolicy: Never
          command: [sleep, "3600"]
`;
