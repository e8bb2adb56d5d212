import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { ServicePort } from "@fairlead/authorization";
import { InboundTcp } from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { LanePool } from "../proxy/lane-pool.ts";
import type { TokenRenewal } from "../proxy/token-renewal.ts";
import type { ServiceRequests } from "./service-requests.ts";

/** What a listener carries connections by. */
export interface ListenerOptions {
  service: ServicePort;
  requests: ServiceRequests;
  pool: LanePool;
  /** Carries connections on beyond the token that they were begun with. */
  renewal: TokenRenewal;
  /** Hears of each connection that was cut, or not made. */
  failed(error: FairleadError): void;
}

/** Listens on loopback and carries each connection to a Service of a cluster, by a lane of its own. */
export class ServiceListener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #stopped = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    // Nothing is read before the Service is there to take it.
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {}); // "close" follows
      socket.on("close", () => this.#sockets.delete(socket));
      void this.#carry(socket);
    });
  }

  /**
   * Listens on 127.0.0.1.
   *
   * @param port 0 for any that is free
   * @returns the port
   * @throws FairleadError ALREADY_EXISTS if it is taken, ACCESS_DENIED if this user may not have it
   */
  async start(port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", (cause: NodeJS.ErrnoException) => reject(cannotListen(port, cause)));
    this.#server.listen(port, "127.0.0.1", resolve);
    await promise;
    return (this.#server.address() as AddressInfo).port;
  }

  /** Listens no more and cuts all connections. */
  stop(): void {
    this.#stopped = true;
    this.#server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async #carry(socket: Socket): Promise<void> {
    const { service, requests, pool, renewal } = this.#options;
    const failed = (error: FairleadError): void => {
      if (!this.#stopped) this.#options.failed(error);
    };
    try {
      const lane = await pool.take(() => socket.destroyed);
      if (socket.destroyed) return pool.release(lane);
      const { head, token } = await requests.connection(service);
      socket.once("close", renewal.begin(head, token));
      new InboundTcp(socket, lane, head, { released: () => pool.release(lane), failed }).start();
    } catch (error) {
      socket.resetAndDestroy();
      failed(FairleadError.from(error, Hop.CLIENT_PROXY));
    }
  }
}

function cannotListen(port: number, cause: NodeJS.ErrnoException): Error {
  const of = (code: ErrorCode, sentence: string): FairleadError =>
    new FairleadError(code, Hop.CLIENT_PROXY, sentence, { cause });
  switch (cause.code) {
    case "EADDRINUSE":
      return of(ErrorCode.ALREADY_EXISTS, `port ${port} of this machine is taken; choose another by LOCAL:PORT`);
    case "EACCES":
      return of(ErrorCode.ACCESS_DENIED, `port ${port} of this machine is not yours to take; choose one by LOCAL:PORT`);
    default:
      return cause;
  }
}
