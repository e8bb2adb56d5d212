import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { actionSteps, type JobOutcome, runJob, templateSteps } from "../support/ci-runner.ts";
import { CiTokens, githubClaims } from "../support/ci-tokens.ts";
import { Helm } from "../support/helm.ts";
import type { RealNode } from "../support/real-node.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import { sharedNode } from "../support/shared-node.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";
import { makeUserCommands } from "../support/user-commands.ts";

const EXAMPLES = join(import.meta.dirname, "../../examples/ci");
const CONNECTION = "11111111-2222-3333-4444-555555555555";
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

  const DEPLOY =
    "kubectl apply --namespace shop -f deploy/\nhelm upgrade --install web ./chart --namespace shop --wait --timeout 60s";

  async function github(run = DEPLOY, more: Record<string, string> = {}): Promise<JobOutcome> {
    const action = parse(await readFile(join(EXAMPLES, "github-actions/action.yml"), "utf8"));
    const { tunnel } = own;
    const inputs = { relay: tunnel.relayUrl, "relay-ca": tunnel.file("ca.crt"), cluster: tunnel.cluster, run };
    const steps = actionSteps(action, inputs, join(folder, "temp"));
    return runJob("github", steps, folder, { ...env, ...tokens.githubEnv, ...more });
  }

  async function azure(run = DEPLOY): Promise<JobOutcome> {
    const template = parse(await readFile(join(EXAMPLES, "azure-pipelines/fairlead.yml"), "utf8"));
    const { tunnel } = own;
    const at = { relay: tunnel.relayUrl, relayCa: tunnel.file("ca.crt"), cluster: tunnel.cluster };
    const steps = templateSteps(template, { ...at, serviceConnection: CONNECTION, run }, tokens.secret);
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
      await job("true");
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
    const { code, log } = await github(DEPLOY, { ACTIONS_ID_TOKEN_REQUEST_URL: "" });
    expect([code, log]).toEqual([1, expect.stringMatching(/give its workflow `permissions: id-token: write`/)]);
  });

  it("does not take what is in an input for a script of its own", async () => {
    const { code } = await github('echo "$(id -u)" > run; true', { CLUSTER: "x" });
    expect(code).toBe(0);
    const action = await readFile(join(EXAMPLES, "github-actions/action.yml"), "utf8");
    for (const { run } of parse(action).runs.steps) expect(run).not.toContain("${{");
    const template = parse(await readFile(join(EXAMPLES, "azure-pipelines/fairlead.yml"), "utf8"));
    for (const { bash } of template.steps) expect(bash).not.toContain("${{");
  });

  it("does what GitLab's job does, with the token in its variable", async () => {
    const job = parse(await readFile(join(EXAMPLES, "gitlab/.gitlab-ci.yml"), "utf8")).deploy;
    const { tunnel } = own;
    const variables = { ...job.variables, FAIRLEAD_RELAY: tunnel.relayUrl, CLUSTER: tunnel.cluster };
    const token = await issuer.token({ ...githubClaims(), aud: job.id_tokens.FAIRLEAD_TOKEN.aud });
    const script = ["set -eo pipefail", ...job.script].join("\n").replace("-f deploy/", "--namespace shop -f deploy/");
    const given = { FAIRLEAD_RELAY_CA: tunnel.file("ca.crt"), FAIRLEAD_TOKEN: token };
    const steps = [{ name: "deploy", script, env: { ...variables, ...given } }];
    const { code, log } = await runJob("azure", steps, folder, { ...env, XDG_STATE_HOME: join(folder, "state") });
    expect([code, log]).toEqual([0, expect.stringMatching(/STATUS: deployed/)]);
    expect(log).not.toContain(token);
  });
});

const SETTINGS = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings" }, data: { greeting: "ahoy" } };

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
