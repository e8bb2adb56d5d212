import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type Tunnel, TunnelProcess } from "@fairlead/demo";
import { stringify } from "yaml";

const require = createRequire(import.meta.url);

interface OtherCluster {
  /** Its name, as its own identity proxy is told. */
  cluster: string;
  /** By which the relay knows, when the agent joins, that it is of this cluster. */
  joinToken: string;
  /** The issuers whose tokens count there, as AuthenticationConfiguration has them. */
  jwt: readonly object[];
}

/**
 * Starts an agent with an identity proxy beside it, which is what a relay sees of a cluster, at a hostile relay. The
 * apiserver behind it is the tunnel's: neither it nor its identity proxies know.
 */
export async function startOtherAgent(
  tunnel: Tunnel,
  relayUrl: string,
  { cluster, joinToken, jwt }: OtherCluster,
): Promise<TunnelProcess> {
  const tokenFile = tunnel.file("other-join-token");
  await writeFile(tokenFile, joinToken, { mode: 0o600 });
  const configuration = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt };
  const authentication = tunnel.file("other-authentication.yaml");
  await writeFile(authentication, stringify(configuration));
  const agent = new TunnelProcess({
    name: "agent of another cluster",
    main: require.resolve("@fairlead/agent/main"),
    args: () => [
      ...["--relay", relayUrl, "--relay-ca", tunnel.file("ca.crt"), "--join-token-file", tokenFile],
      ...["--state-folder", tunnel.file("other-agent")],
      ...["--kubeconfig", tunnel.impersonatorKubeconfig, "--cluster", cluster],
      ...["--authentication", authentication, "--grace", "1"],
    ],
    logFile: tunnel.file("other-agent.log"),
  });
  await agent.start();
  return agent;
}
