import { createRequire } from "node:module";
import type { Tunnel } from "@fairlead/demo";
import { RunningProgram } from "./running-program.ts";
import { alice } from "./tunnel.ts";

const { resolve } = createRequire(import.meta.url);

/** Who looks: `fairlead doctor`, or `fairlead-agent doctor` in the cluster. */
export type Side = "client" | "agent";

/** What doctor answers as JSON (docs/reference/doctor.md). */
export interface DoctorReport {
  readonly healthy: boolean;
  readonly failed?: { readonly check: string; readonly seen: string; readonly remedy: string };
  readonly checks: readonly { readonly check: string; readonly state: "ok" | "failed" | "skipped" }[];
}

/** How it is run; by default as the tunnel's own client and agent would. */
export interface DoctorRun {
  readonly relay?: string;
  readonly relayCa?: string;
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
}

/** No proxy of this machine's, unless a test names one. */
const NO_PROXIES = { HTTPS_PROXY: "", https_proxy: "", NO_PROXY: "", no_proxy: "", NODE_OPTIONS: "" };

/** `fairlead-agent doctor` with no option, as in a pod. */
export function bareAgentDoctor(env: Record<string, string>): Promise<RunningProgram> {
  return ended([resolve("@fairlead/agent/main"), "doctor"], env);
}

/** `fairlead clusters`, run as the client's doctor would be. */
export function clusters(tunnel: Tunnel, run: DoctorRun): Promise<RunningProgram> {
  return ended(
    [resolve("@fairlead/cli/main"), "clusters", "--token-file", tunnel.tokenFile(alice), ...relayOf(tunnel, run)],
    run.env,
  );
}

/** What doctor prints. */
export function doctorOutput(tunnel: Tunnel, side: Side, run: DoctorRun = {}): Promise<RunningProgram> {
  const own = {
    client: [resolve("@fairlead/cli/main"), "doctor", tunnel.cluster, "--token-file", tunnel.tokenFile(alice)],
    agent: [
      ...[resolve("@fairlead/agent/main"), "doctor", "--state-folder", tunnel.file("agent")],
      ...["--identity-proxy", `unix:${tunnel.file("identity-proxy.sock")}`],
    ],
  };
  return ended([...own[side], ...relayOf(tunnel, run), ...(run.args ?? [])], run.env);
}

function relayOf(tunnel: Tunnel, { relay = tunnel.relayUrl, relayCa = tunnel.file("ca.crt") }: DoctorRun): string[] {
  return ["--relay", relay, "--relay-ca", relayCa];
}

/** A program of ours that has ended. */
async function ended(args: readonly string[], env: Record<string, string> = {}): Promise<RunningProgram> {
  const environment = { ...process.env, ...NO_PROXIES, ...env };
  const program = new RunningProgram({ file: process.execPath, args }, { env: environment });
  await program.exited;
  return program;
}

/** Runs doctor. @throws Error if its exit code says something else than its report */
export async function doctor(tunnel: Tunnel, side: Side, run: DoctorRun = {}): Promise<DoctorReport> {
  const program = await doctorOutput(tunnel, side, { ...run, args: [...(run.args ?? []), "--output", "json"] });
  const { code } = await program.exited;
  if (program.stdout === "") throw new Error(`doctor answers nothing: ${program.stderr}`);
  const report: DoctorReport = JSON.parse(program.stdout);
  if (code !== (report.healthy ? 0 : 1)) throw new Error(`doctor exits ${code}, and says ${program.stdout}`);
  return report;
}
