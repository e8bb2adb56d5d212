import { execFile } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { promisify } from "node:util";

export interface KubectlBinary {
  readonly path: string;
  /** As in "1.36". */
  readonly version: string;
  readonly minor: number;
}

/** What kubectl speaks on exec, attach, cp, debug and port-forward. */
export type StreamingProtocol = "SPDY" | "WebSocket";

/** From here on kubectl can do both; up to 1.30 WebSocket has to be asked for (KEP 4006). */
const firstMinorWithWebSocket = 30;

/** Google Cloud's command line brings one kubectl per minor version. */
const googleCloudSdk = "/usr/lib/google-cloud-sdk/bin/kubectl.1.*";

/**
 * Every kubectl version of this machine, oldest first: the test bed's own, those of the Google Cloud SDK, and those
 * that FAIRLEAD_KUBECTLS names, a list of paths with colons.
 */
export async function findKubectls(builtKubectl: string): Promise<KubectlBinary[]> {
  const named = (process.env.FAIRLEAD_KUBECTLS ?? "").split(":").filter((path) => path !== "");
  const paths = [...named, builtKubectl, ...globSync(googleCloudSdk)];
  const byMinor = new Map<number, KubectlBinary>();
  for (const binary of await Promise.all(paths.filter((path) => existsSync(path)).map(identify))) {
    if (!byMinor.has(binary.minor)) {
      byMinor.set(binary.minor, binary);
    }
  }
  return [...byMinor.values()].sort((a, b) => a.minor - b.minor);
}

/** @throws Error if the program at `path` cannot be run, or does not say its version */
export async function identify(path: string): Promise<KubectlBinary> {
  const { stdout } = await promisify(execFile)(path, ["version", "--client", "--output=json"]);
  const minor = Number(/"gitVersion":\s*"v1\.(\d+)/.exec(stdout)?.[1]);
  if (!minor) {
    throw new Error(`${path} does not say its version: ${stdout}`);
  }
  return { path, version: `1.${minor}`, minor };
}

/** Oldest and newest, which is where the differences are; all of them with FAIRLEAD_KUBECTL_MATRIX=all. */
export function chooseKubectls(found: readonly KubectlBinary[]): readonly KubectlBinary[] {
  if (process.env.FAIRLEAD_KUBECTL_MATRIX === "all") {
    return found;
  }
  const last = found.length - 1;
  return found.filter((_, index) => index === 0 || index === last);
}

export function streamingProtocols({ minor }: KubectlBinary): readonly StreamingProtocol[] {
  return minor < firstMinorWithWebSocket ? ["SPDY"] : ["WebSocket", "SPDY"];
}
