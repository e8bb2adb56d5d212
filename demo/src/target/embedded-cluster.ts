import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CertificateAuthority } from "@fairlead/certificates";
import { KubeConfig } from "@kubernetes/client-node";
import { TunnelProcess } from "../child-process.ts";
import { writeKubeconfig } from "./prepare-cluster.ts";
import type { Target } from "./target.ts";

/** The embedded demo cluster: a small Kubernetes API of our own, for a machine without any cluster. */
export async function embeddedCluster(folder: string): Promise<Target> {
  const file = (name: string): string => join(folder, name);
  const authority = await CertificateAuthority.create("fairlead demo cluster authority", 30);
  const { cert, key } = await authority.issue({ commonName: "fairlead demo cluster", hosts: ["127.0.0.1"], days: 30 });
  const token = randomBytes(32).toString("base64url");
  const account = { user: "system:serviceaccount:fairlead-demo:identity-proxy", groups: [], mayImpersonate: true };
  const files = {
    "cluster.crt": cert,
    "cluster.key": key,
    "cluster-tokens.json": JSON.stringify({ [token]: account }),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(file(name), text, { mode: 0o600 });
  const server = new TunnelProcess({
    name: "demo cluster",
    main: fileURLToPath(new URL("../cluster/main.js", import.meta.url)),
    args: () => ["--cert", file("cluster.crt"), "--key", file("cluster.key"), "--tokens", file("cluster-tokens.json")],
    logFile: file("demo-cluster.log"),
  });
  const { url } = await server.start();
  const kubeconfig = new KubeConfig();
  const caData = Buffer.from(authority.pem).toString("base64");
  kubeconfig.loadFromClusterAndUser(
    { name: "demo", server: String(url), caData, skipTLSVerify: false },
    { name: "demo" },
  );
  await writeKubeconfig(kubeconfig, token, file("identity-proxy.kubeconfig"));
  return {
    description: "the embedded demo cluster (a small imitation, not a real Kubernetes)",
    cluster: "demo",
    impersonatorKubeconfig: file("identity-proxy.kubeconfig"),
    pids: server.pid === undefined ? {} : { "demo cluster": server.pid },
    remove: () => server.end(),
  };
}
