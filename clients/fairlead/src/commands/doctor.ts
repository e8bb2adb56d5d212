import { diagnose, jsonReport, textReport } from "@fairlead/diagnosis";
import { Command } from "commander";
import { clientSteps } from "../doctor/client-steps.ts";
import { print, printJson, tell } from "../output.ts";
import { readProofKey } from "../relay/read-proof-key.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { lateTokenSource } from "../relay/token-source.ts";
import { type RelayOptions, relayOf, seconds } from "./global-options.ts";

interface DoctorOptions extends RelayOptions {
  hold: number;
  dpopKey?: string;
}

/** `fairlead doctor`: which hop on the way to a cluster fails first, and what to do about it. */
export function doctorCommand(): Command {
  return new Command("doctor")
    .description("find the first hop that fails on the way to a cluster, and say what to do")
    .argument("[cluster]", "the cluster; without it, the way to the relay alone")
    .option("--hold <seconds>", "hold a connection open so long, to find what cuts long ones", seconds, 0)
    .option("--dpop-key <file>", "the private key (PEM, P-256) that your token is bound to, if it is (DPoP, RFC 9449)")
    .addHelpText("after", EXAMPLES)
    .action(runDoctor);
}

const EXAMPLES = `
Examples:
  fairlead doctor                          # name, connection, TLS, clock, gRPC, version, token
  fairlead doctor prod-eu1                 # all the way to the apiserver
  fairlead doctor prod-eu1 --hold 100      # what cuts connections at 90 s shows
  fairlead doctor prod-eu1 --output json

Exits 0 if all is well, 1 if a hop fails. In the cluster, run: fairlead-agent doctor`;

async function runDoctor(cluster: string | undefined, _own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<DoctorOptions>();
  const { relay, sent } = noting(relayOf(options, lateTokenSource));
  const proofKey = options.dpopKey === undefined ? undefined : await readProofKey(options.dpopKey);
  if (options.hold > 0) tell(`A connection is held for ${options.hold} s.`);
  const steps = clientSteps({ relay, cluster, proofKey, holdMs: options.hold * 1_000 });
  const diagnosis = await diagnose(steps, () => [...sent]);
  if (options.output === "json") printJson(jsonReport({ relay: relay.url.origin, cluster }, diagnosis));
  else print(textReport(diagnosis, { isTerminal: process.stdout.isTTY }));
  process.exitCode = diagnosis.failed ? 1 : 0;
}

/** Notes the tokens that are taken, and so sent: an answer may have them in it. */
function noting(relay: RelayConnection): { relay: RelayConnection; sent: ReadonlySet<string> } {
  const sent = new Set<string>();
  const token = async (): Promise<string> => {
    const taken = await relay.token();
    sent.add(taken);
    return taken;
  };
  return { relay: { ...relay, token }, sent };
}
