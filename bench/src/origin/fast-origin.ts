import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CertificateAuthority } from "@fairlead/certificates";
import { endFork } from "../end-fork.ts";
import { endpointOfKubeconfig } from "./endpoint-of-kubeconfig.ts";
import type { Origin } from "./origin.ts";

/** An origin that answers at once, in a process of its own. @param folder for its kubeconfigs */
export async function startFastOrigin(folder: string): Promise<Origin> {
  const authority = await CertificateAuthority.create("fairlead bench authority", 30);
  const child = fork(fileURLToPath(new URL("fast-origin-process.js", import.meta.url)), { execArgv: [] });
  child.send(await authority.issue({ commonName: "fast origin", hosts: ["127.0.0.1"], days: 30 }));
  const [{ port }] = await once(child, "message");
  const write = async (name: string, token: string): Promise<string> => {
    const file = join(folder, name);
    const text = kubeconfigText(`https://127.0.0.1:${port}`, authority.pem, token);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  };
  const kubeconfig = await write("fast-origin.kubeconfig", "person");
  return {
    name: "fast origin",
    kubeconfig,
    endpoint: endpointOfKubeconfig(kubeconfig),
    impersonatorKubeconfig: await write("fast-origin-impersonator.kubeconfig", "impersonator"),
    adminKubeconfig: undefined,
    smallGet: "/api/v1/namespaces/default/configmaps/bench",
    processes: { "fast origin": child.pid ?? 0 },
    stop: () => endFork(child),
  };
}

/** JSON is YAML too. kubectl asks for a user name where there is no credential at all. */
function kubeconfigText(server: string, ca: string, token: string): string {
  const cluster = { server, "certificate-authority-data": Buffer.from(ca).toString("base64") };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "origin", cluster }],
    users: [{ name: "person", user: { token } }],
    contexts: [{ name: "origin", context: { cluster: "origin", user: "person" } }],
    "current-context": "origin",
  });
}
