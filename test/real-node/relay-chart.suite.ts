import { chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { parse, stringify } from "yaml";
import { CertificateAuthority } from "../support/certificate-authority.ts";
import { CHARTS, Helm } from "../support/helm.ts";
import type { RealNode } from "../support/real-node.ts";
import { describeOnRealNode } from "../support/real-node-needs.ts";
import { importServiceImages } from "../support/service-images.ts";
import { sharedNode } from "../support/shared-node.ts";

const namespace = "fairlead-relay";
const chart = ["fairlead-relay", join(CHARTS, "fairlead-relay"), "--namespace", namespace];
const issuer = { url: "https://issuer.invalid", audiences: ["fairlead"] };
const jwt = [{ issuer, claimMappings: { username: { claim: "sub", prefix: "" } } }];

describeOnRealNode()("the relay's chart", () => {
  let node: RealNode;
  let helm: Helm;
  let values: string[];
  const admin = (...args: string[]) => node.admin(["--namespace", namespace, ...args]);
  const wait = ["--wait", "--timeout=60s"];
  const run = (...args: string[]) => helm.run(args, node.kubeconfig);
  const render = (...set: string[]) => helm.run(["template", ...chart, ...values, ...set]);

  beforeAll(async () => {
    node = await sharedNode();
    helm = await Helm.find(node.dir);
    const image = { ...(await importServiceImages(node, ["relay"])), pullPolicy: "Never" };
    const database = { volume: { existingClaim: "store" } };
    const given = { authentication: { jwt }, administrators: { users: ["ada"] }, image, database };
    await writeFile(join(node.dir, "values.yaml"), stringify(given));
    values = ["--values", join(node.dir, "values.yaml")];
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    await node.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels } });
    const folder = join(node.dir, "store");
    await mkdir(folder);
    await chown(folder, 65_532, 65_532); // a folder of the node's is not made the pod's by fsGroup
    const volume = { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"], storageClassName: "by-hand" };
    const claim = {
      accessModes: ["ReadWriteOnce"],
      storageClassName: "by-hand",
      resources: { requests: { storage: "1Gi" } },
    };
    const authority = await CertificateAuthority.create(node.dir, "relay-ca");
    const { certFile, keyFile } = await authority.issueServer("relay", ["fairlead-relay.fairlead-relay.svc"]);
    const tls = { "tls.crt": await readFile(certFile, "utf8"), "tls.key": await readFile(keyFile, "utf8") };
    await node.apply(
      {
        apiVersion: "v1",
        kind: "PersistentVolume",
        metadata: { name: "store" },
        spec: { ...volume, hostPath: { path: folder } },
      },
      { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "store", namespace }, spec: claim },
      { apiVersion: "v1", kind: "Secret", metadata: { name: "fairlead-relay-tls", namespace }, stringData: tls },
    );
  }, 900_000);

  afterAll(() => node?.reset());

  const authorityOf = () => readFile(join(node.dir, "store/relay.db-agents.crt"), "utf8");

  it("runs a relay that is ready, restricted and without any right in the cluster", async () => {
    await run("install", ...chart, ...values, ...wait);
    const { items } = JSON.parse(await admin("get", "pods", "--output=json"));
    expect(items).toHaveLength(1);
    expect(items[0].spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true },
    });
    expect(await admin("logs", "deployment/fairlead-relay")).toMatch(/"msg":"listening"/);
  });

  it("keeps what it keeps over upgrade and rollback, and leaves your volume when it is uninstalled", async () => {
    const before = await authorityOf();
    const set = ["--set=limits.exchangesPerUser=7", "--set=oldestVersions.agent=0.0.2,oldestVersions.client=0.0.1"];
    await run("upgrade", ...chart, ...values, ...set, ...wait); // a relay that does not take them is not ready
    const { data } = JSON.parse(await admin("get", "configmap/fairlead-relay", "--output=json"));
    expect(parse(data["relay.yaml"])).toMatchObject({
      limits: { exchangesPerUser: 7 },
      oldestVersions: { agent: "0.0.2", client: "0.0.1" },
    });
    await run("rollback", "fairlead-relay", "1", "--namespace", namespace, ...wait);
    await run("uninstall", "fairlead-relay", "--namespace", namespace, ...wait);
    expect(await authorityOf()).toBe(before);
    expect((await admin("get", "deployments,services,configmaps", "--output=name")).trim()).toBe(
      "configmap/kube-root-ca.crt",
    );
  });

  it("starts the next relay before the one before it stops where PostgreSQL is the database", async () => {
    const rendered = await render("--set=database.postgresql.existingSecret=pg", "--set=agents.existingSecret=ca");
    expect(rendered).toMatch(/type: RollingUpdate.*maxUnavailable: 0/);
    expect(rendered).toMatch(/urlFile: postgresql\/url/);
    expect(rendered).not.toMatch(/PersistentVolumeClaim/);
    expect(await render()).toMatch(/type: Recreate/);
  });

  it.each([
    [
      "a database's URL",
      ["--set=database.postgresql.url=postgresql://u:p@h/d"],
      /additional properties? 'url' not allowed/,
    ],
    [
      "PostgreSQL without an authority",
      ["--set=database.postgresql.existingSecret=pg"],
      /agents.existingSecret is due/,
    ],
    [
      "a webhook without its secret",
      ["--set=webhook.url=https://hooks.example.com"],
      /url and existingSecret go together/,
    ],
    [
      "an oldest version that is none",
      ["--set=oldestVersions.agent=newest"],
      /oldestVersions.agent.*not match pattern/s,
    ],
    ["several relays", ["--set=replicas=2"], /additional properties? 'replicas' not allowed/],
  ])("refuses %s in its values", async (_what, set, says) => {
    await expect(render(...set)).rejects.toThrow(says);
  });
});
