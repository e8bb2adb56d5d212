import { Command } from "commander";
import { checkAskedCluster } from "../kubeconfig/asked-cluster.ts";
import { execCredential } from "../kubeconfig/exec-credential.ts";
import { printJson } from "../output.ts";
import { callerOf } from "./caller.ts";
import type { RelayOptions } from "./relay-options.ts";

/** `fairlead get-token`: the credential plugin of contexts that go without the local proxy. */
export function getTokenCommand(): Command {
  return new Command("get-token")
    .description("give kubectl your token: contexts of `fairlead kubeconfig --direct` run this")
    .option("--direct-domain <domain>", "under which the relay serves clusters too, if it does (direct.domain)")
    .addHelpText("after", EXAMPLE)
    .action(async (_own: unknown, command: Command) => {
      const { directDomain: domain, ...options } = command.optsWithGlobals<RelayOptions & { directDomain?: string }>();
      const { relay, relayCa, token } = callerOf(options);
      const { KUBERNETES_EXEC_INFO: execInfo } = process.env;
      checkAskedCluster(execInfo, { relay, relayCa, domain });
      printJson(execCredential(await token(), execInfo, Date.now()));
    });
}

const EXAMPLE = `
Examples:
  fairlead get-token                                      # of your login
  fairlead get-token --relay https://relay.example.com --token-file ~/token`;
