import { create } from "@bufbuild/protobuf";
import { AccessRuleSchema } from "@fairlead/protocol";
import { Command } from "commander";
import { printAnswer, printJson, tell, withFormats } from "../output.ts";
import { type RelayOptions, relayOf } from "./global-options.ts";
import { addRuleOptions, type RuleOptions, ruleOf } from "./rule-options.ts";
import { ruleJson, ruleTable } from "./rule-output.ts";

/** `fairlead rules`: for administrators, who reaches which cluster. */
export function rulesCommand(): Command {
  const list = withFormats(new Command("rules"), "yaml", "name")
    .description("list and keep the rules that say who reaches which cluster (administrators)")
    .addHelpText("after", EXAMPLES)
    .action(async (_own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RelayOptions>();
      const { accessRules } = await relayOf(options).accessRules.listAccessRules({});
      if (accessRules.length === 0 && options.output === "text")
        return tell("There is no rule: nobody reaches any cluster.");
      await printAnswer(options.output, {
        value: () => accessRules.map(ruleJson),
        text: () => ruleTable(accessRules),
        names: () => accessRules.map(({ name }) => name),
      });
    });
  list.addCommand(
    addRuleOptions(new Command("create").description("let users or groups reach clusters"))
      .argument("<name>", "a DNS label, such as developers")
      .addHelpText("after", CREATE_EXAMPLES)
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RuleOptions>();
        const accessRule = ruleOf(name, options);
        await relayOf(options).accessRules.createAccessRule({ accessRule });
        if (options.output === "json") printJson(ruleJson(create(AccessRuleSchema, accessRule)));
        else tell(`Rule ${name} is made.`);
      }),
  );
  list.addCommand(
    addRuleOptions(new Command("update").description("say a rule anew, as a whole: what is left out is gone from it"))
      .argument("<name>", "the rule")
      .addHelpText("after", "\nExample:\n  fairlead rules update developers --group dev --cluster staging --read-only")
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RuleOptions>();
        const accessRule = ruleOf(name, options);
        await relayOf(options).accessRules.updateAccessRule({ accessRule });
        if (options.output === "json") printJson(ruleJson(create(AccessRuleSchema, accessRule)));
        else tell(`Rule ${name} is changed.`);
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
  fairlead rules update developers --group dev --cluster-label env=staging --read-only
  fairlead rules delete developers`;

const CREATE_EXAMPLES = `
Examples:
  fairlead rules create developers --group dev --cluster-label env=staging
  fairlead rules create on-call --user jane@example.com --cluster '*' --expires 8h
  fairlead rules create auditors --group audit --cluster '*' --read-only
  fairlead rules create app-deploys --user-prefix repo:acme/app: --cluster staging`;
