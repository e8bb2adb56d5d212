import type { Command } from "commander";

/** Which cluster is connected or disconnected, and where in it. */
export interface TargetOptions {
  kubeconfig?: string | undefined;
  context?: string | undefined;
  namespace: string;
}

/** Adds them to a command. */
export function addTargetOptions(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "of the cluster's operator (default: $KUBECONFIG or ~/.kube/config)")
    .option("--context <name>", "its context (default: the current one)")
    .option("--namespace <name>", "where agent and identity proxy run", "fairlead");
}
