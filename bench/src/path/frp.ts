import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePorts } from "@fairlead/test/support/free-port";
import type { Origin } from "../origin/origin.ts";
import { type Detour, straight } from "./detour.ts";
import type { Path } from "./path.ts";
import { startTcpPeer } from "./tcp-peer.ts";

/**
 * frp (fatedier/frp), as it is by default: TLS, and all connections through one.
 *
 * @param programs the folder with frps and frpc
 * @param link from client to server
 */
export async function startFrp(
  origin: Origin,
  programs: string,
  folder: string,
  link: Detour = straight,
): Promise<Path> {
  const [listen = 0, front = 0] = await freePorts(2);
  const { host, port } = origin.endpoint;
  const server = { bindAddr: "127.0.0.1", bindPort: listen, proxyBindAddr: "127.0.0.1", log: { level: "warn" } };
  const client = {
    serverAddr: "127.0.0.1",
    serverPort: await link(listen),
    loginFailExit: false, // the server may not listen yet
    log: { level: "warn" },
    proxies: [{ name: "origin", type: "tcp", localIP: host, localPort: port, remotePort: front }],
  };
  const write = async (name: string, config: object): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, JSON.stringify(config));
    return file;
  };
  return startTcpPeer(origin, {
    name: "frp",
    folder,
    front: { port: front },
    programs: {
      "frp server": { file: join(programs, "frps"), args: ["--config", await write("frps.json", server)] },
      "frp client": { file: join(programs, "frpc"), args: ["--config", await write("frpc.json", client)] },
    },
  });
}
