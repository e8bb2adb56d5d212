import { Command } from "commander";
import { execCredential } from "../kubeconfig/exec-credential.ts";
import { printJson } from "../output.ts";
import { callerOf } from "./caller.ts";
import type { RelayOptions } from "./relay-options.ts";

/** `fairlead get-token`: the credential plugin of contexts that go without the local proxy. */
export function getTokenCommand(): Command {
  return new Command("get-token")
    .description("give kubectl your token: contexts of `fairlead kubeconfig --direct` run this")
    .addHelpText("after", EXAMPLE)
    .action(async (_own: unknown, command: Command) => {
      const token = await callerOf(command.optsWithGlobals<RelayOptions>()).token();
      printJson(execCredential(token, process.env.KUBERNETES_EXEC_INFO, Date.now()));
    });
}

const EXAMPLE = `
Examples:
  fairlead get-token                                      # of your login
  fairlead get-token --relay https://relay.example.com --token-file ~/token`;
