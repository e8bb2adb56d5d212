import type { AccessRule } from "@fairlead/protocol";
import { Command } from "commander";
import { print, printJson, table, tell } from "../output.ts";
import { collect, parseLabels, type RelayOptions, relayOf } from "./global-options.ts";

interface CreateOptions extends RelayOptions {
  user: string[];
  group: string[];
  cluster: string[];
  clusterLabel: string[];
}

/** `fairlead rules`: for administrators, who reaches which cluster. */
export function rulesCommand(): Command {
  const list = new Command("rules")
    .description("list and keep the rules that say who reaches which cluster (administrators)")
    .addHelpText("after", EXAMPLES)
    .action(async (_own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RelayOptions>();
      const { accessRules } = await relayOf(options).accessRules.listAccessRules({});
      if (options.output === "json") return printJson(accessRules.map(toJson));
      if (accessRules.length === 0) return tell("There is no rule: nobody reaches any cluster.");
      print(table(["NAME", "USERS", "GROUPS", "CLUSTERS", "CLUSTER LABELS"], accessRules.map(toRow)));
    });
  list.addCommand(
    new Command("create")
      .description("let users or groups reach clusters")
      .argument("<name>", "a DNS label, such as developers")
      .option("--user <name>", "a user; may be repeated", collect, [])
      .option("--group <name>", "a group; may be repeated", collect, [])
      .option("--cluster <name>", "a cluster, or * for all; may be repeated", collect, [])
      .option("--cluster-label <key=value>", "clusters with this label; may be repeated, all must match", collect, [])
      .addHelpText(
        "after",
        "\nExamples:\n  fairlead rules create developers --group dev --cluster-label env=staging\n" +
          "  fairlead rules create on-call --user jane@example.com --cluster '*'",
      )
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<CreateOptions>();
        const { user: users, group: groups, cluster: clusters } = options;
        const accessRule = { name, users, groups, clusters, clusterLabels: parseLabels(options.clusterLabel) };
        await relayOf(options).accessRules.createAccessRule({ accessRule });
        if (options.output === "json") printJson(accessRule);
        else tell(`Rule ${name} is made.`);
      }),
  );
  list.addCommand(
    new Command("delete")
      .description("remove a rule; exchanges that it alone allowed are cut")
      .argument("<name>", "the rule")
      .addHelpText("after", "\nExample:\n  fairlead rules delete developers")
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RelayOptions>();
        await relayOf(options).accessRules.deleteAccessRule({ name });
        if (options.output === "json") printJson({ deleted: name });
        else tell(`Rule ${name} is removed.`);
      }),
  );
  return list;
}

const EXAMPLES = `
Examples:
  fairlead rules
  fairlead rules create developers --group dev --cluster-label env=staging
  fairlead rules delete developers`;

function toJson({ name, users, groups, clusters, clusterLabels }: AccessRule) {
  return { name, users, groups, clusters, clusterLabels };
}

function toRow(rule: AccessRule): string[] {
  const labels = Object.entries(rule.clusterLabels).map(([key, value]) => `${key}=${value}`);
  return [rule.name, rule.users.join(","), rule.groups.join(","), rule.clusters.join(","), labels.join(",")];
}
