import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { eventually } from "@fairlead/test/support/eventually";
import { exitOf, spawnBound } from "@fairlead/test/support/program";
import { findTestbedPrograms } from "@fairlead/test/support/testbed-programs";
import type { Origin } from "../origin/origin.ts";
import { untilAnswers } from "./answers.ts";
import type { Path } from "./path.ts";

/** `kubectl proxy`, which is no tunnel: one hop of Kubernetes' own, as an anchor. Plain HTTP in front of it. */
export async function startKubectlProxy(origin: Origin, folder: string): Promise<Path> {
  const { kubectl } = await findTestbedPrograms();
  // It refuses exec and attach by default; here they are measured.
  const filter = ["--reject-paths=^$", "--reject-methods=^$"];
  const command = { file: kubectl, args: ["proxy", "--port=0", ...filter, `--kubeconfig=${origin.kubeconfig}`] };
  const child = spawnBound(command, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] });
  const exited = exitOf(child);
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited.catch(() => undefined);
  };
  let port = 0;
  if (child.stdout) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      port = Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? port);
    });
  }
  try {
    await eventually(() => port > 0, { what: "kubectl proxy's address" });
    const endpoint = { host: "127.0.0.1", port, tls: undefined, headers: {} };
    await untilAnswers("kubectl proxy", endpoint, origin.smallGet);
    const kubeconfig = await writeKubeconfig(port, origin, folder);
    return { name: "kubectl proxy", endpoint, kubeconfig, processes: { "kubectl proxy": child.pid ?? 0 }, stop };
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
