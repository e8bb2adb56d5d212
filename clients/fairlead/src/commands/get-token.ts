import { Command } from "commander";
import { execCredential } from "../kubeconfig/exec-credential.ts";
import { printJson } from "../output.ts";
import { tokenSource } from "../relay/token-source.ts";
import type { RelayOptions } from "./global-options.ts";

/** `fairlead get-token`: the credential plugin of contexts that go without the local proxy. */
export function getTokenCommand(): Command {
  return new Command("get-token")
    .description("give kubectl your token: contexts of `fairlead kubeconfig --direct` run this")
    .addHelpText("after", EXAMPLE)
    .action((_own: unknown, command: Command) => {
      const token = tokenSource(command.optsWithGlobals<RelayOptions>().tokenFile)();
      printJson(execCredential(token, process.env.KUBERNETES_EXEC_INFO, Date.now()));
    });
}

const EXAMPLE = `
Example:
  fairlead get-token --relay https://relay.example.com --token-file ~/token`;
