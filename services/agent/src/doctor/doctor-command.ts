import { diagnose, jsonReport, textReport } from "@fairlead/diagnosis";
import { refuseUnverifiedTls } from "@fairlead/service";
import { Command, InvalidArgumentError, Option } from "commander";
import { identityProxyPeer, type Options, relayPeer, stateOf } from "../options.ts";
import { agentSteps } from "./agent-steps.ts";

interface DoctorOptions extends Options {
  output: "text" | "json";
  hold: number;
}

/** `fairlead-agent doctor`: which hop fails first, looked at from the cluster's side. */
export function doctorCommand(): Command {
  return new Command("doctor")
    .description(
      "find the first hop that fails between the relay and the apiserver, seen from here, and say what to do",
    )
    .addOption(new Option("--output <format>", "how to answer").choices(["text", "json"]).default("text"))
    .option("--hold <seconds>", "hold a connection to the relay open so long, to find what cuts long ones", seconds, 0)
    .addHelpText("after", EXAMPLES)
    .action(runDoctor);
}

const EXAMPLES = `
Examples:
  kubectl exec deployment/fairlead-agent -- node /app/main.js doctor     # in a pod of our image and chart
  fairlead-agent doctor --relay https://relay.example.com --state-folder /var/lib/fairlead-agent \\
    --identity-proxy unix:/run/fairlead/identity.sock

It takes the agent's own options, changes nothing and does not use the join token up.
Exits 0 if all is well, 1 if a hop fails.`;

async function runDoctor(_own: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<DoctorOptions>();
  try {
    refuseUnverifiedTls();
    const relay = relayPeer(options);
    const steps = agentSteps({
      relay: relay.address(),
      identityProxy: () => identityProxyPeer(options, options.identityProxy).address(),
      ownCluster: () => stateOf(options, { warn: () => {} }),
      isKeptInCluster: options.stateSecret !== undefined,
      holdMs: options.hold * 1_000,
    });
    if (options.hold > 0) process.stderr.write(`A connection is held for ${options.hold} s.\n`);
    const diagnosis = await diagnose(steps);
    const subject = { relay: relay.name, cluster: undefined };
    const report =
      options.output === "json"
        ? JSON.stringify(jsonReport(subject, diagnosis), null, process.stdout.isTTY ? 2 : 0)
        : textReport(diagnosis, { isTerminal: process.stdout.isTTY });
    process.stdout.write(`${report}\n`);
    process.exitCode = diagnosis.failed ? 1 : 0;
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}

function seconds(value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError("a whole number of seconds is due");
  return Number(value);
}
