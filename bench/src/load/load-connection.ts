import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { serverNameOf } from "@fairlead/protocol";
import type { ConnectProxy, Endpoint } from "./endpoint.ts";
import { MessageReader } from "./message-reader.ts";

/** How long a connection may take to be there, in milliseconds. */
const CONNECT_MS = 10_000;

/** What a load does with a connection. */
export interface ConnectionHandler {
  /** An answer's head has come. */
  onHead?(isGood: boolean, statusLine: string): void;
  /** Bytes of a body have come. */
  onBody?(bytes: number): void;
  /** An answer is complete. @param isGood whether its status was 200 or 201 @param statusLine with the status */
  onAnswer(isGood: boolean, statusLine: string): void;
  /** The connection ended, not by us. */
  onLost(reason: string): void;
}

/** One connection to an endpoint, kept alive, with one request at a time on it. */
export class LoadConnection {
  readonly socket: Socket;
  #closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** @throws Error if it cannot be made within 10 s */
  static async open(endpoint: Endpoint, handler: ConnectionHandler): Promise<LoadConnection> {
    const socket = await dial(endpoint);
    const connection = new LoadConnection(socket);
    connection.#listen(handler);
    return connection;
  }

  close(): void {
    this.#closed = true;
    this.socket.destroy();
  }

  #listen(handler: ConnectionHandler): void {
    let statusLine = "";
    const reader = new MessageReader("response", {
      onHead: (text) => {
        statusLine = text.slice(0, 64);
        handler.onHead?.(isGood(statusLine), statusLine);
      },
      onBody: (bytes) => handler.onBody?.(bytes),
      onEnd: () => handler.onAnswer(isGood(statusLine), statusLine),
    });
    let reason = "the connection was closed";
    this.socket
      .on("data", (bytes: Buffer) => reader.feed(bytes))
      .on("error", (error) => {
        reason = error.message;
      })
      .on("close", () => {
        if (!this.#closed) handler.onLost(reason);
      });
  }
}

function isGood(statusLine: string): boolean {
  return /^HTTP\/1.1 20[01]/.test(statusLine);
}

/** A connection to an endpoint, TLS included. @throws Error if it cannot be made within 10 s */
export async function dial({ host, port, tls, connectThrough }: Endpoint): Promise<Socket> {
  const carrier = connectThrough && (await askProxy(connectThrough, `${host}:${port}`));
  if (tls === undefined) return carrier ?? established(connectPlain({ host, port, noDelay: true }), "connect");
  const way = carrier ? { socket: carrier } : { host, port };
  const name = tls.servername ?? host; // the certificate is checked against it, also where it is an address
  const socket = connectTls({ ...way, ...tls, ...serverNameOf(name), host: name, ALPNProtocols: ["http/1.1"] });
  socket.setNoDelay(true);
  return established(socket, "secureConnect");
}

/** A connection to a destination through a proxy (RFC 9110, 9.3.6). */
async function askProxy(proxy: ConnectProxy, destination: string): Promise<Socket> {
  const address = "socketPath" in proxy ? { path: proxy.socketPath } : { host: "127.0.0.1", port: proxy.port };
  const socket = await established(connectPlain(address), "connect");
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  socket.on("error", reject).once("data", (bytes: Buffer) => {
    // The server at the other end of TLS speaks second: nothing can follow the proxy's answer.
    socket.pause();
    if (/^HTTP\/1.[01] 200/.test(bytes.toString("latin1"))) resolve(socket);
    else reject(new Error(`the proxy says ${bytes.toString("latin1", 0, 64)}`));
  });
  socket.write(`CONNECT ${destination} HTTP/1.1\r\nHost: ${destination}\r\n\r\n`);
  return promise;
}

function established<T extends Socket>(socket: T, event: "connect" | "secureConnect"): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(() => socket.destroy(new Error("no connection in time")), CONNECT_MS);
  socket.once("error", reject);
  socket.once(event, () => {
    clearTimeout(timer);
    socket.off("error", reject);
    resolve(socket);
  });
  return promise.finally(() => clearTimeout(timer));
}
