import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { exitOf } from "./program.ts";

/** Where the test bed's programs lie. The last two exist only where they could be built. */
export interface TestbedPrograms {
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly kubectl: string;
  readonly kubeControllerManager: string | undefined;
  readonly kubelet: string | undefined;
}

/** By the package's name: this file is run from its source by the tests, and as it was built by the bench. */
const buildScript = createRequire(import.meta.url).resolve("@fairlead/test/testbed/build.sh");

/**
 * Uses the programs of KUBEBUILDER_ASSETS (envtest's convention, for machines without Go) when it is set, and
 * otherwise builds those that are not in the cache yet.
 */
export async function findTestbedPrograms(): Promise<TestbedPrograms> {
  const assets = process.env.KUBEBUILDER_ASSETS;
  const dir = assets ?? (await buildPart("control-plane"));
  const programs = {
    etcd: join(dir, "etcd"),
    kubeApiserver: join(dir, "kube-apiserver"),
    kubectl: join(dir, "kubectl"),
    kubeControllerManager: present(join(dir, "kube-controller-manager")),
    kubelet: present(join(dir, "kubelet")),
  };
  for (const needed of [programs.etcd, programs.kubeApiserver, programs.kubectl]) {
    if (!present(needed)) {
      throw new Error(`${needed} is missing or cannot be executed`);
    }
  }
  sayWhatIsMissing(programs);
  return programs;
}

/**
 * Builds what is not in the cache yet of a part of the test bed. Go's progress goes to our stderr: the first time takes
 * minutes.
 *
 * @returns the folder of its programs
 * @throws Error without Go
 */
export async function buildPart(part: "control-plane" | "node" | "helm" | "examples"): Promise<string> {
  const script = spawn(buildScript, [part], { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  script.stdout.setEncoding("utf8").on("data", (chunk: string) => lines.push(chunk));
  const exit = await exitOf(script);
  if (exit.code !== 0) {
    throw new Error(
      `${buildScript} ${part} failed (${JSON.stringify(exit)}). It needs Go; without Go, set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl.`,
    );
  }
  return lines.join("").trim();
}

function sayWhatIsMissing({ kubeControllerManager, kubelet }: TestbedPrograms): void {
  if (!kubeControllerManager) {
    warn("no kube-controller-manager: no default service accounts, namespaces are never deleted");
  }
  if (!kubelet) {
    warn("no test kubelet: NOTHING that streams is run (exec, attach, logs, cp, port-forward, debug)");
  }
}

function warn(sentence: string): void {
  process.stderr.write(`\n*** test bed: ${sentence} ***\n`);
}

function present(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}
