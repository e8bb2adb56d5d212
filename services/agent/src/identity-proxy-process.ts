import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NODE_FLAGS } from "@fairlead/service";

/** Flags of the identity proxy. */
export interface IdentityProxyFlags {
  /** Whose credential may only impersonate; the identity proxy checks that. */
  kubeconfig: string;
  context: string | undefined;
  /** The name that the relay has for the cluster. */
  cluster: string;
  /** The AuthenticationConfiguration file. */
  authentication: string;
}

/** An identity proxy that runs beside the agent. */
export interface IdentityProxyProcess {
  /** What the agent's `--identity-proxy` would be: `unix:PATH`. */
  address: string;
  /** Resolves with the exit code when the process has ended. */
  ended: Promise<number | null>;
  stop(): Promise<void>;
}

/**
 * Starts an identity proxy beside the agent, for an agent outside the cluster: a process of its own, on a Unix socket
 * in a private folder, with a kubeconfig for the apiserver.
 */
export function startIdentityProxy(flags: IdentityProxyFlags): IdentityProxyProcess {
  const { kubeconfig, context, cluster, authentication } = flags;
  const folder = mkdtempSync(join(tmpdir(), "fairlead-agent-"));
  const address = `unix:${join(folder, "identity-proxy.sock")}`;
  const main = createRequire(import.meta.url).resolve("@fairlead/identity-proxy/main");
  const args = [
    ...[main, "--listen", address, "--cluster", cluster],
    ...["--kubeconfig", kubeconfig, "--authentication", authentication],
  ];
  if (context !== undefined) args.push("--context", context);
  // The pipe on its standard input ends with this process, however that ends; then it ends too.
  const env = { ...process.env, FAIRLEAD_EXIT_WITH_STDIN: "1" };
  const child = spawn(process.execPath, [...NODE_FLAGS, ...args], { stdio: ["pipe", "ignore", "inherit"], env });
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  void ended.then(() => rmSync(folder, { recursive: true, force: true }));
  return { address, ended, stop: () => stop(child, ended) };
}

async function stop(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill("SIGTERM");
  await ended;
}
