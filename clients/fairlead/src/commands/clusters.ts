import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { JoinToken } from "@fairlead/protocol";
import { Command } from "commander";
import { print, printAnswer, printJson, tell, withFormats } from "../output.ts";
import { clusterLine, clusterTable, toJson, wideClusterTable } from "./cluster-output.ts";
import { collect, parseLabels, type RelayOptions, relayOf } from "./global-options.ts";
import {
  type JoinOptions,
  joinJson,
  joinOptions,
  joinServiceAccountCommand,
  serviceAccountJoin,
  showServiceAccountJoin,
} from "./join-service-account.ts";

/** `fairlead clusters`: what the caller may reach; for administrators, the keeping of clusters. */
export function clustersCommand(): Command {
  const list = withFormats(new Command("clusters"), "wide", "yaml", "name")
    .description("list the clusters that you may reach, and keep them as an administrator")
    .option("--watch", "print each change of a cluster's state, until Ctrl-C")
    .addHelpText("after", EXAMPLES)
    .action(async (_own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RelayOptions & { watch?: boolean }>();
      if (options.watch) return watchClusters(options, command);
      const { clusters } = await relayOf(options).clusters.listClusters({});
      if (clusters.length === 0 && (options.output === "text" || options.output === "wide"))
        return tell("There is no cluster that you may reach; ask an administrator for a rule.");
      await printAnswer(options.output, {
        value: () => clusters.map(toJson),
        text: () => clusterTable(clusters),
        wide: () => wideClusterTable(clusters),
        names: () => clusters.map(({ name }) => name),
      });
    });
  list.addCommand(
    joinOptions(new Command("create"))
      .description("add a cluster and print a join token for its agent, unless it joins by its service account")
      .argument("<name>", "a DNS label, such as prod-eu1")
      .option("--label <key=value>", "a label for access rules; may be repeated", collect, [])
      .addHelpText("after", CREATE_EXAMPLES)
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RelayOptions & JoinOptions & { label: string[] }>();
        const labels = parseLabels(options.label);
        const join = serviceAccountJoin(name, options);
        const created = { name, labels, ...(join && { serviceAccountJoin: join }) };
        const { cluster, joinToken } = await relayOf(options).clusters.createCluster(created);
        if (options.output === "json")
          return printJson({ cluster: cluster && toJson(cluster), ...(join ? joinJson(join) : tokenJson(joinToken)) });
        tell(`Cluster ${name} is made.`);
        if (join) showServiceAccountJoin(join);
        else showJoinToken(joinToken);
      }),
  );
  list.addCommand(
    new Command("join-token")
      .description("print a join token for a cluster whose agent has expired, or lost its state")
      .argument("<cluster>", "the cluster")
      .addHelpText("after", "\nExample:\n  fairlead clusters join-token prod-eu1 > join-token")
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RelayOptions>();
        const { joinToken } = await relayOf(options).clusters.createJoinToken({ cluster: name });
        if (options.output === "json") return printJson(tokenJson(joinToken));
        showJoinToken(joinToken);
      }),
  );
  list.addCommand(joinServiceAccountCommand());
  list.addCommand(
    new Command("delete")
      .description("remove a cluster, what its agents attach with and its live exchanges")
      .argument("<cluster>", "the cluster")
      .addHelpText("after", "\nExample:\n  fairlead clusters delete prod-eu1")
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RelayOptions>();
        await relayOf(options).clusters.deleteCluster({ name });
        if (options.output === "json") printJson({ deleted: name });
        else tell(`Cluster ${name} is removed.`);
      }),
  );
  return list;
}

const CREATE_EXAMPLES = `
Examples:
  fairlead clusters create prod-eu1 --label env=prod > join-token
  kubectl get --raw /openid/v1/jwks > jwks.json
  fairlead clusters create prod-eu1 --join-service-account fairlead/fairlead-agent \\
    --join-issuer https://kubernetes.default.svc.cluster.local --join-jwks jwks.json`;

const EXAMPLES = `
Examples:
  fairlead clusters
  fairlead clusters --output wide
  fairlead clusters --output name | xargs -n 1 fairlead doctor
  fairlead clusters create prod-eu1 --label env=prod > join-token
  fairlead clusters join-token prod-eu1 > join-token
  fairlead clusters join-service-account prod-eu1 --join-service-account fairlead/fairlead-agent \\
    --join-issuer https://oidc.example.com/prod-eu1
  fairlead clusters --watch
  fairlead clusters delete prod-eu1`;

/** The clusters as they are, and then each change, without end. As JSON it is a line each. */
async function watchClusters(options: RelayOptions, command: Command): Promise<void> {
  if (options.output !== "text" && options.output !== "json")
    command.error(`error: --watch cannot answer as ${options.output}, but as text, json`);
  for await (const { cluster, removed } of relayOf(options).clusters.watchClusters({}, { timeoutMs: 0 })) {
    if (cluster === undefined) continue;
    if (options.output === "json") print(JSON.stringify(removed ? { name: cluster.name, removed } : toJson(cluster)));
    else print(clusterLine(cluster, removed));
  }
}

function tokenJson(joinToken: JoinToken | undefined) {
  const { token = "", expireTime } = joinToken ?? {};
  return { joinToken: token, expires: expireTime && timestampDate(expireTime).toISOString() };
}

/** The token alone on standard output, for a file. */
function showJoinToken(joinToken: JoinToken | undefined): void {
  const { joinToken: token, expires } = tokenJson(joinToken);
  tell(`This join token counts once, for one agent, until ${expires}: give it to fairlead-agent as --join-token-file.`);
  print(token);
}
