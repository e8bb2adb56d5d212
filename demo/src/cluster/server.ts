import { once } from "node:events";
import { type IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { type AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type TokenOwner, TokenRegister } from "./access/authentication.ts";
import { type ApiRequest, sendStatusError } from "./api-request.ts";
import { answerExec, parseExec } from "./exec/exec.ts";
import { LogBook } from "./log-book.ts";
import { pods } from "./resource-types.ts";
import { authorizedTarget, type Cluster, routeRequest } from "./router.ts";
import { seedStore } from "./seed.ts";
import { StatusError } from "./status.ts";
import { Store } from "./store.ts";

const maxHeaderBytes = 1024 * 1024;
/** Longer than Go's 90 s, so that it is the client who closes an idle connection and no request meets a closing one. */
const keepAliveMs = 120_000;

/** What a demo cluster is started with. */
export interface DemoClusterOptions {
  /** PEM certificate chain and key of the API server. */
  cert: string | Buffer;
  key: string | Buffer;
  tokens: Record<string, TokenOwner>;
  /** Default 0: any free port. */
  port?: number;
  /** Default a new store; tests bring one with small limits. */
  store?: Store;
}

/** A running demo cluster. */
export interface DemoCluster {
  /** `https://127.0.0.1:<port>` */
  url: string;
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

/**
 * Starts the demo cluster on 127.0.0.1, over HTTPS with HTTP/1.1.
 * @throws the listen error, for example when the port is taken
 */
export async function startDemoCluster(options: DemoClusterOptions): Promise<DemoCluster> {
  const store = options.store ?? new Store();
  seedStore(store);
  const cluster: Cluster = { store, logs: new LogBook(store) };
  const register = new TokenRegister(options.tokens);
  const server = createServer({ cert: options.cert, key: options.key, maxHeaderSize: maxHeaderBytes });
  server.keepAliveTimeout = keepAliveMs;
  server.maxHeadersCount = 0; // One header line per impersonated group; the size limit above is the bound.
  const connections = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  server.on("request", (incoming: IncomingMessage, response: ServerResponse) => {
    void answer(incoming, response, register, (request) => routeRequest(request, cluster));
  });
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    void answerUpgrade(incoming, socket, head, register, store);
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    close: async () => {
      cluster.logs.close();
      server.close();
      // Streams and upgraded connections never become idle, so none is waited for.
      for (const socket of connections) socket.destroy();
      await once(server, "close");
    },
  };
}

async function answer(
  incoming: IncomingMessage,
  response: ServerResponse,
  register: TokenRegister,
  handle: (request: ApiRequest) => Promise<void>,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  try {
    const url = parseUrl(incoming.url ?? "/");
    const identity = register.authenticate(incoming.headersDistinct);
    await handle({ incoming, response, url, identity, signal: gone.signal });
  } catch (error) {
    if (!(error instanceof StatusError) && !gone.signal.aborted) console.error("demo cluster:", error);
    // A started stream cannot turn into a Status; cutting it is how the client learns.
    if (response.headersSent) response.destroy();
    else sendStatusError(response, StatusError.from(error));
  }
}

/** Exec is the only upgrade. Until it is certain, errors go out as ordinary answers with a Status. */
async function answerUpgrade(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  register: TokenRegister,
  store: Store,
): Promise<void> {
  socket.on("error", () => socket.destroy());
  if (!(socket instanceof Socket)) return void socket.destroy();
  const response = new ServerResponse(incoming);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once("finish", () => socket.end());
  await answer(incoming, response, register, async (request) => {
    const target = authorizedTarget(request);
    if (target.on === "path" || target.resource !== pods.plural || target.subresource !== "exec") {
      throw new StatusError("BadRequest", "the demo cluster upgrades connections for pods/exec only");
    }
    const pod = store.get(pods, target.namespace, target.name ?? "");
    const exec = parseExec(incoming, request.url.searchParams, pod);
    response.detachSocket(socket);
    answerExec(incoming, socket, head, exec);
  });
}

function parseUrl(address: string): URL {
  const url = URL.parse(address, "https://demo");
  if (!url) throw new StatusError("BadRequest", "the request address cannot be read");
  return url;
}
