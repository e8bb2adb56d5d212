#!/usr/bin/env -S node --initial-old-space-size=96 --max-semi-space-size=2
import { sentence } from "@fairlead/http-bridge";
import { errorCodeName, FairleadError, Hop, hopName } from "@fairlead/protocol";
import { Command } from "commander";
import { accessCommand } from "./commands/access.ts";
import { clustersCommand } from "./commands/clusters.ts";
import { connectCommand } from "./commands/connect.ts";
import { disconnectCommand } from "./commands/disconnect.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { forwardCommand } from "./commands/forward.ts";
import { getTokenCommand } from "./commands/get-token.ts";
import { addRelayOptions } from "./commands/global-options.ts";
import { kubeconfigCommand } from "./commands/kubeconfig.ts";
import { proxyCommand } from "./commands/proxy.ts";
import { rbacCommand } from "./commands/rbac.ts";
import { rulesCommand } from "./commands/rules.ts";
import { printJson, tellError } from "./output.ts";
import { VERSION } from "./version.ts";

const program = addRelayOptions(new Command("fairlead"))
  .description("Reach Kubernetes clusters that accept no inbound connection.")
  .version(VERSION)
  .addHelpText(
    "after",
    "\nExamples:\n  fairlead clusters                    # what you may reach\n" +
      "  fairlead proxy prod-eu1              # point kubectl at a cluster\n" +
      "  fairlead forward prod-eu1 svc/web 8080:80   # reach a Service of it\n" +
      "  fairlead doctor prod-eu1             # which hop fails, and what to do\n\n" +
      "Set FAIRLEAD_RELAY and FAIRLEAD_TOKEN, or give --relay and --token-file.",
  )
  .showHelpAfterError("(add --help for what there is)");

for (const command of [
  proxyCommand(),
  forwardCommand(),
  clustersCommand(),
  kubeconfigCommand(),
  getTokenCommand(),
  rulesCommand(),
  connectCommand(),
  disconnectCommand(),
  accessCommand(),
  rbacCommand(),
  doctorCommand(),
]) {
  for (const each of [command, ...command.commands]) each.configureHelp({ showGlobalOptions: true });
  program.addCommand(command);
}

try {
  await program.parseAsync();
} catch (error) {
  const fault = FairleadError.from(error, Hop.CLIENT_PROXY);
  const wantsJson = process.argv.some(
    (word, i, words) => word === "--output=json" || (word === "json" && words[i - 1] === "--output"),
  );
  if (wantsJson)
    printJson({ error: { code: errorCodeName(fault.code), hop: hopName(fault.hop), message: fault.message } });
  tellError(sentence(fault));
  process.exitCode = 1;
}
