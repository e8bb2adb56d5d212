#!/usr/bin/env node
import { Command, Option } from "commander";
import { Demo, type DemoOptions } from "./demo.ts";
import { tell } from "./progress.ts";

const command = new Command("npm run demo --")
  .description(
    "Run the whole tunnel on this machine: issuer, relay, agent, identity proxy, client proxy and a cluster.",
  )
  .option("--context <name>", "lead to your own cluster, by this context of your kubeconfig")
  .option("--kubeconfig <file>", "your kubeconfig, with --context (default: kubectl's)")
  .option("--role <role>", "the ClusterRole that the demo's user gets on your own cluster", "view")
  .option("--write <file>", "write the tunnel's kubeconfig to this file")
  .addOption(
    new Option("--output <format>", "json prints one line when all is ready").choices(["text", "json"]).default("text"),
  )
  .option("--check", "try get, watch, logs and exec through the tunnel, and exit 0 or 1")
  .addHelpText(
    "after",
    "\nWithout --context the cluster is a real kube-apiserver and etcd, if KUBEBUILDER_ASSETS or the PATH has them, else\n" +
      "a small embedded demo cluster.\n\nExamples:\n  npm run demo\n  npm run demo -- --check\n  npm run demo -- --context kind-kind --role edit",
  );

const demo = new Demo(command.parse().opts<DemoOptions>());
let ending = false;
async function end(code: number): Promise<void> {
  if (ending) return;
  ending = true;
  await demo.end();
  process.exit(code);
}
process.on("SIGINT", () => void end(130));
process.on("SIGTERM", () => void end(143));
process.on("uncaughtException", (error) => {
  tell(`error: ${error.message}`);
  void end(1);
});

try {
  const code = await demo.run();
  if (code !== undefined) await end(code);
  else setInterval(() => {}, 60_000); // until a signal comes
} catch (error) {
  if (!ending) tell(`error: the demo cannot start: ${error instanceof Error ? error.message : error}`);
  await end(1);
}
