import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type Tunnel, TunnelProcess } from "@fairlead/demo";
import { eventually } from "./eventually.ts";

const require = createRequire(import.meta.url);

/** Clusters of a relay beside the tunnel's own, each with an agent process of its own. */
export class MoreClusters {
  readonly #agents: TunnelProcess[] = [];

  /**
   * Makes clusters, and a rule for a group. Behind each is the tunnel's apiserver: neither relay nor clients can tell.
   *
   * @param group who may reach them
   * @param label what each is labelled with
   */
  async add(tunnel: Tunnel, names: readonly string[], group: string, label = "env=test"): Promise<void> {
    await Promise.all(names.map((name) => this.#add(tunnel, name, group, label)));
    await eventually(
      async () => {
        const all: { name: string; state: string }[] = JSON.parse(
          await tunnel.cli(tunnel.administrator, "clusters", "--output", "json"),
        );
        return names.every((name) => all.some((each) => each.name === name && each.state === "Connected"));
      },
      { what: `${names.join(", ")} to be connected` },
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.end()));
  }

  async #add(tunnel: Tunnel, name: string, group: string, label: string): Promise<void> {
    const { administrator } = tunnel;
    const create = ["clusters", "create", name, "--label", label, "--output", "json"];
    const created = await tunnel.cli(administrator, ...create);
    const tokenFile = tunnel.file(`join-token-${name}`);
    await writeFile(tokenFile, JSON.parse(created).joinToken, { mode: 0o600 });
    await tunnel.cli(administrator, "rules", "create", `more-${name}`, "--group", group, "--cluster", name);
    const agent = new TunnelProcess({
      name: `agent of ${name}`,
      main: require.resolve("@fairlead/agent/main"),
      args: () => [
        ...["--relay", tunnel.relayUrl, "--relay-ca", tunnel.file("ca.crt"), "--join-token-file", tokenFile],
        ...["--state-folder", tunnel.file(`agent-${name}`), "--kubeconfig", tunnel.impersonatorKubeconfig],
        ...["--cluster", name, "--authentication", tunnel.file("identity-proxy-authentication.yaml"), "--grace", "1"],
      ],
      logFile: tunnel.file(`agent-${name}.log`),
    });
    this.#agents.push(agent);
    await agent.start();
  }
}
