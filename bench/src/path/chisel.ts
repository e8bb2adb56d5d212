import { freePorts } from "@fairlead/test/support/free-port";
import type { Origin } from "../origin/origin.ts";
import { type Detour, straight } from "./detour.ts";
import type { Path } from "./path.ts";
import { startTcpPeer } from "./tcp-peer.ts";

/** chisel (jpillora/chisel): SSH in a WebSocket. @param program the file @param folder for logs @param link from client to server */
export async function startChisel(
  origin: Origin,
  program: string,
  folder: string,
  link: Detour = straight,
): Promise<Path> {
  const [listen = 0, front = 0] = await freePorts(2);
  const remote = `R:127.0.0.1:${front}:${origin.endpoint.host}:${origin.endpoint.port}`;
  return startTcpPeer(origin, {
    name: "chisel",
    folder,
    front: { port: front },
    programs: {
      "chisel server": { file: program, args: ["server", "--host", "127.0.0.1", "--port", `${listen}`, "--reverse"] },
      "chisel client": {
        file: program,
        args: ["client", "--max-retry-interval", "200ms", `http://127.0.0.1:${await link(listen)}`, remote],
      },
    },
  });
}
