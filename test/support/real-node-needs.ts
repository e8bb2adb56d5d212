import { execFileSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { describe } from "@jest/globals";

/** What runs in a node beside what is built for it; all of them packages of Debian's (.ci/run). */
const programs = ["containerd", "ctr", "runc", "iptables", "ip", "unshare", "nsenter", "busybox", "openssl"];
const networkPlugin = "/usr/lib/cni/bridge";

/** Why no real node can run here; undefined if one can. */
export function whyNoRealNode(): string | undefined {
  if (process.platform !== "linux") return "it needs Linux";
  if (process.getuid?.() !== 0) return "it needs root, for namespaces and cgroups";
  if (process.env.KUBEBUILDER_ASSETS !== undefined)
    return "KUBEBUILDER_ASSETS has no kubelet, scheduler and kube-proxy";
  const folders = (process.env.PATH ?? "").split(delimiter);
  const missing = programs.filter((name) => !folders.some((folder) => isProgram(join(folder, name))));
  if (!isProgram(networkPlugin)) missing.push(networkPlugin);
  if (missing.length > 0) return `it needs ${missing.join(", ")}`;
  try {
    execFileSync("unshare", ["--mount", "--net", "--pid", "--fork", "true"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `this root may not make namespaces: ${(error as Error).message.trim()}`;
  }
}

/** `describe`, or a skipped one that says so loudly where no real node can run. */
export function describeOnRealNode(): typeof describe | typeof describe.skip {
  const why = whyNoRealNode();
  if (why === undefined) return describe;
  process.stderr.write(`\n*** test bed: no real node, since ${why}: NOTHING of what needs real pods is run ***\n`);
  return describe.skip;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
