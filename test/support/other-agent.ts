import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type Tunnel, TunnelProcess } from "@fairlead/demo";
import { stringify } from "yaml";

const require = createRequire(import.meta.url);

/**
 * Starts an agent with an identity proxy beside it, which is what a relay sees of a cluster, at a hostile relay. The
 * apiserver behind it is the tunnel's: neither it nor its identity proxies know.
 *
 * @param agentToken by which the relay knows that it is of another cluster
 * @param jwt the issuers whose tokens count there, as AuthenticationConfiguration has them
 */
export async function startOtherAgent(
  tunnel: Tunnel,
  relayUrl: string,
  agentToken: string,
  jwt: readonly object[],
): Promise<TunnelProcess> {
  const tokenFile = tunnel.file("other-agent-token");
  await writeFile(tokenFile, agentToken, { mode: 0o600 });
  const configuration = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt };
  const authentication = tunnel.file("other-authentication.yaml");
  await writeFile(authentication, stringify(configuration));
  const agent = new TunnelProcess({
    name: "agent of another cluster",
    main: require.resolve("@fairlead/agent/main"),
    args: () => [
      ...["--relay", relayUrl, "--relay-ca", tunnel.file("ca.crt"), "--token-file", tokenFile],
      ...["--kubeconfig", tunnel.impersonatorKubeconfig],
      ...["--authentication", authentication, "--grace", "1"],
    ],
    logFile: tunnel.file("other-agent.log"),
  });
  await agent.start();
  return agent;
}
