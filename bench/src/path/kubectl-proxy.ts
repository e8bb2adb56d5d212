import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Origin } from "../origin/origin.ts";
import { untilAnswers } from "./answers.ts";
import { startListeningKubectl } from "./listening-kubectl.ts";
import type { Path } from "./path.ts";

/** `kubectl proxy`, which is no tunnel: one hop of Kubernetes' own, as an anchor. Plain HTTP in front of it. */
export async function startKubectlProxy(origin: Origin, folder: string): Promise<Path> {
  // It refuses exec and attach by default; here they are measured.
  const filter = ["--reject-paths=^$", "--reject-methods=^$"];
  const args = ["proxy", "--port=0", ...filter, `--kubeconfig=${origin.kubeconfig}`];
  const { port, pid, stop } = await startListeningKubectl(args, { cwd: folder }, /127\.0\.0\.1:(\d+)/);
  try {
    const endpoint = { host: "127.0.0.1", port, tls: undefined, headers: {} };
    await untilAnswers("kubectl proxy", endpoint, origin.smallGet);
    const kubeconfig = await writeKubeconfig(port, origin, folder);
    return { name: "kubectl proxy", endpoint, kubeconfig, processes: { "kubectl proxy": pid }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The person's own kubeconfig with another server; kubectl sends no credential by plain HTTP. */
async function writeKubeconfig(port: number, origin: Origin, folder: string): Promise<string> {
  const file = join(folder, "kubeconfig");
  const config = JSON.parse(await readFile(origin.kubeconfig, "utf8"));
  const clusters = [{ name: config.clusters[0].name, cluster: { server: `http://127.0.0.1:${port}` } }];
  await writeFile(file, JSON.stringify({ ...config, clusters }), { mode: 0o600 });
  return file;
}
