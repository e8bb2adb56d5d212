import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Cluster, JoinToken } from "@fairlead/protocol";
import { Command } from "commander";
import { print, printJson, table, tell } from "../output.ts";
import { collect, parseLabels, type RelayOptions, relayOf } from "./global-options.ts";

/** `fairlead clusters`: what the caller may reach; for administrators, the keeping of clusters. */
export function clustersCommand(): Command {
  const list = new Command("clusters")
    .description("list the clusters that you may reach, and keep them as an administrator")
    .addHelpText("after", EXAMPLES)
    .action(async (_own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RelayOptions>();
      const { clusters } = await relayOf(options).clusters.listClusters({});
      if (options.output === "json") return printJson(clusters.map(toJson));
      if (clusters.length === 0)
        return tell("There is no cluster that you may reach; ask an administrator for a rule.");
      print(table(["NAME", "CONNECTED", "AGENT", "LAST SEEN", "LABELS"], clusters.map(toRow)));
    });
  list.addCommand(
    new Command("create")
      .description("add a cluster and print a join token for its agent")
      .argument("<name>", "a DNS label, such as prod-eu1")
      .option("--label <key=value>", "a label for access rules; may be repeated", collect, [])
      .addHelpText("after", "\nExample:\n  fairlead clusters create prod-eu1 --label env=prod > join-token")
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RelayOptions & { label: string[] }>();
        const labels = parseLabels(options.label);
        const { cluster, joinToken } = await relayOf(options).clusters.createCluster({ name, labels });
        if (options.output === "json")
          return printJson({ cluster: cluster && toJson(cluster), ...tokenJson(joinToken) });
        tell(`Cluster ${name} is made.`);
        showJoinToken(joinToken);
      }),
  );
  list.addCommand(
    new Command("join-token")
      .description("print a join token for a cluster whose agent has expired, or lost its state")
      .argument("<name>", "the cluster")
      .addHelpText("after", "\nExample:\n  fairlead clusters join-token prod-eu1 > join-token")
      .action(async (name: string, _own: unknown, command: Command) => {
        const options = command.optsWithGlobals<RelayOptions>();
        const { joinToken } = await relayOf(options).clusters.createJoinToken({ cluster: name });
        if (options.output === "json") return printJson(tokenJson(joinToken));
        showJoinToken(joinToken);
      }),
  );
  list.addCommand(
    new Command("delete")
      .description("remove a cluster, what its agents attach with and its live exchanges")
      .argument("<name>", "the cluster")
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

const EXAMPLES = `
Examples:
  fairlead clusters
  fairlead clusters --output json
  fairlead clusters create prod-eu1 --label env=prod > agent-token
  fairlead clusters delete prod-eu1`;

function toJson(cluster: Cluster) {
  const { name, labels, connected, agentVersion, lastSeenTime } = cluster;
  return { name, labels, connected, agentVersion, lastSeen: lastSeenTime && timestampDate(lastSeenTime).toISOString() };
}

function toRow(cluster: Cluster): string[] {
  const { name, connected, agentVersion, lastSeen, labels } = toJson(cluster);
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return [name, connected ? "yes" : "no", agentVersion || "-", lastSeen ?? "never", pairs.join(",")];
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
