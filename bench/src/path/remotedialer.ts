import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePorts } from "@fairlead/test/support/free-port";
import type { Origin } from "../origin/origin.ts";
import { type Detour, straight } from "./detour.ts";
import { writeLinkCertificates } from "./link-certificates.ts";
import type { Path } from "./path.ts";
import { startTcpPeer } from "./tcp-peer.ts";

const SOURCE = fileURLToPath(new URL("../../peers/remotedialer", import.meta.url));
const CACHE = process.env.FAIRLEAD_CACHE ?? fileURLToPath(new URL("../../../.cache", import.meta.url));

/** remotedialer (rancher/remotedialer): connections in one WebSocket over TLS, by our own small program around it. @param link from client to server */
export async function startRemotedialer(origin: Origin, folder: string, link: Detour = straight): Promise<Path> {
  const program = await buildRemotedialer();
  const [listen = 0, front = 0] = await freePorts(2);
  const { ca, server } = await writeLinkCertificates(folder);
  const serverFlags = [
    ...["--listen", `127.0.0.1:${listen}`, "--cert", server.cert, "--key", server.key],
    ...["--front", `127.0.0.1:${front}`, "--origin", `${origin.endpoint.host}:${origin.endpoint.port}`],
  ];
  return startTcpPeer(origin, {
    name: "remotedialer",
    folder,
    front: { port: front },
    programs: {
      "remotedialer server": { file: program, args: ["server", ...serverFlags] },
      "remotedialer client": {
        file: program,
        args: ["client", "--server", `127.0.0.1:${await link(listen)}`, "--ca", ca],
      },
    },
  });
}

/** Go builds what has changed only. @throws Error without Go, or without the module */
async function buildRemotedialer(): Promise<string> {
  const folder = join(CACHE, "peers");
  const program = join(folder, "remotedialer");
  await mkdir(folder, { recursive: true });
  const env = { ...process.env, CGO_ENABLED: "0" };
  await promisify(execFile)("go", ["build", "-trimpath", "-o", program, "."], { cwd: SOURCE, env });
  return program;
}
