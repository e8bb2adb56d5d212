import { rmSync } from "node:fs";
import { createServer, type Http2Server } from "node:http2";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ClientProxyService, Hop } from "@fairlead/protocol";
import { tellErrors } from "@fairlead/protocol/rpc-errors";
import { VERSION } from "../../version.ts";
import type { ServedCluster, Unserved } from "../proxy-set.ts";

/** What a client proxy says of itself, and lets be done. */
export interface Controlled {
  relay: string;
  identity: string;
  /** Empty in the foreground. */
  logFile: string;
  clusters(): ServedCluster[];
  add(clusters: readonly { name: string; port: number }[]): Promise<Unserved[]>;
  stop(): void;
}

/** The socket by which the user's other programs talk to a client proxy. */
export class ControlServer {
  readonly #server: Http2Server;
  readonly #path: string;

  constructor(path: string, controlled: Controlled) {
    this.#path = path;
    const startTime = timestampFromMs(Date.now());
    const { relay, identity, logFile } = controlled;
    const own = { version: VERSION, pid: process.pid, relay, identity, startTime, logFile };
    this.#server = createServer(
      connectNodeAdapter({
        interceptors: [tellErrors(Hop.CLIENT_PROXY)],
        routes: (router) =>
          router.service(ClientProxyService, {
            getClientProxy: () => ({ ...own, clusters: controlled.clusters() }),
            addClusters: async ({ clusters }) => ({ unserved: await controlled.add(clusters) }),
            stopClientProxy: () => {
              setImmediate(() => controlled.stop()); // the answer first
              return {};
            },
          }),
      }),
    );
  }

  /** Listens; whoever calls has seen that nobody else does. */
  async listen(): Promise<void> {
    if (process.platform !== "win32") rmSync(this.#path, { force: true }); // of a proxy that was killed
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject).listen(this.#path, resolve);
    await promise;
  }

  close(): void {
    this.#server.close(); // takes the socket away too
  }
}
