import { join } from "node:path";
import { freePorts } from "@fairlead/test/support/free-port";
import type { Origin } from "../origin/origin.ts";
import { type Detour, straight } from "./detour.ts";
import { writeLinkCertificates } from "./link-certificates.ts";
import type { Path } from "./path.ts";
import { startTcpPeer } from "./tcp-peer.ts";

/**
 * konnectivity (kubernetes-sigs/apiserver-network-proxy): gRPC with mutual TLS between agent and server, HTTP CONNECT
 * on a Unix socket in front, as kube-apiserver uses it.
 *
 * @param programs the folder with the programs `server` and `agent`
 * @param link from agent to server
 */
export async function startKonnectivity(
  origin: Origin,
  programs: string,
  folder: string,
  link: Detour = straight,
): Promise<Path> {
  const [agentPort = 0, ...others] = await freePorts(5);
  const [adminPort, healthPort, agentAdminPort, agentHealthPort] = others;
  const { ca, server, client } = await writeLinkCertificates(folder);
  const socketPath = join(folder, "front.sock");
  const serverFlags = [
    ...["--mode=http-connect", `--uds-name=${socketPath}`, "--server-port=0", "--v=0"],
    ...[`--cluster-cert=${server.cert}`, `--cluster-key=${server.key}`, `--cluster-ca-cert=${ca}`],
    ...["--agent-bind-address=127.0.0.1", `--agent-port=${agentPort}`],
    ...[`--admin-port=${adminPort}`, "--health-bind-address=127.0.0.1", `--health-port=${healthPort}`],
  ];
  const agentFlags = [
    ...["--proxy-server-host=127.0.0.1", `--proxy-server-port=${await link(agentPort)}`, "--v=0"],
    ...[`--agent-cert=${client.cert}`, `--agent-key=${client.key}`, `--ca-cert=${ca}`],
    ...[`--admin-server-port=${agentAdminPort}`, "--health-server-host=127.0.0.1"],
    ...[`--health-server-port=${agentHealthPort}`, "--sync-interval=200ms"],
  ];
  return startTcpPeer(origin, {
    name: "konnectivity",
    folder,
    front: { connectThrough: { socketPath } },
    programs: {
      "konnectivity server": { file: join(programs, "server"), args: serverFlags },
      "konnectivity agent": { file: join(programs, "agent"), args: agentFlags },
    },
  });
}
