import { AccessLevel, type AccessRule, type ExplainAccessResponse } from "@fairlead/protocol";
import { Command } from "commander";
import { printAnswer, table, withFormats } from "../output.ts";
import { collect, type RelayOptions, relayOf } from "./global-options.ts";
import { isoTime, ruleJson, ruleTable } from "./rule-output.ts";

const LEVELS: Record<AccessLevel, { json: string; words: string }> = {
  [AccessLevel.UNSPECIFIED]: { json: "unknown", words: "may do what this version does not know" },
  [AccessLevel.DENIED]: { json: "denied", words: "may do nothing" },
  [AccessLevel.READ_ONLY]: { json: "read-only", words: "may only read" },
  [AccessLevel.FULL]: { json: "full", words: "may do what the cluster itself allows" },
};

/** `fairlead access`: for administrators, why somebody reaches a cluster or does not. */
export function accessCommand(): Command {
  const access = new Command("access")
    .description("explain who may do what where (administrators)")
    .addHelpText("after", EXAMPLES);
  access.addCommand(
    withFormats(new Command("explain"), "wide", "yaml", "name")
      .description("say what a user may do in a cluster, and what each rule has to do with it")
      .argument("<user>", "the user's name, as the relay's authentication configuration maps it")
      .argument("<cluster>", "the cluster")
      .option("--group <name>", "a group of the user's; may be repeated", collect, [])
      .addHelpText("after", EXAMPLES)
      .action(async (user: string, cluster: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RelayOptions & { group: string[] }>();
        const answer = await relayOf(options).accessRules.explainAccess({ user, cluster, groups: options.group });
        await printAnswer(options.output, {
          value: () => toJson(answer),
          text: () => inWords(user, cluster, answer),
          wide: () => `${inWords(user, cluster, answer)}\n\n${ruleTable(rulesOf(answer))}`,
          names: () => rulesOf(answer).map(({ name }) => name),
        });
      }),
  );
  return access;
}

const EXAMPLES = `
Examples:
  fairlead access explain jane@example.com prod-eu1 --group dev --group on-call
  fairlead access explain repo:acme/app:ref:refs/heads/main staging --output json`;

function toJson({ level, untilTime, rules }: ExplainAccessResponse) {
  const explained = rules.map(({ accessRule, applies, reason }) => ({
    rule: accessRule && ruleJson(accessRule),
    applies,
    reason,
  }));
  return { access: LEVELS[level].json, until: isoTime(untilTime), rules: explained };
}

/** The rules that count. */
function rulesOf({ rules }: ExplainAccessResponse): AccessRule[] {
  return rules.flatMap(({ accessRule, applies }) => (accessRule && applies ? [accessRule] : []));
}

function inWords(user: string, cluster: string, { level, untilTime, rules }: ExplainAccessResponse): string {
  const until = untilTime ? `, until ${isoTime(untilTime)}` : "";
  const sum = `${user} ${LEVELS[level].words} in ${cluster}${until}.`;
  if (rules.length === 0) return `${sum}\nThere is no rule.`;
  const rows = rules.map(({ accessRule, applies, reason }) => [accessRule?.name ?? "", applies ? "yes" : "no", reason]);
  return `${sum}\n\n${table(["RULE", "COUNTS", "WHY"], rows)}`;
}
