import { connect as connectPlain, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";

/** How long a connection, TLS included, may take, in milliseconds. */
const DIAL_TIMEOUT_MS = 10_000;

/** Where a peer listens. */
export type PeerAddress =
  /** A Unix socket. */
  | { path: string }
  /** A TCP port; without `tls` only within one machine, where nobody listens in. */
  | { host: string; port: number; tls?: ConnectionOptions };

/** Where an https:// address leads; without a port, to 443. */
export function hostAndPortOf({ hostname, port }: URL): { host: string; port: number } {
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 443) };
}

/** TLS's option for the server's name: none for an IP address, which is no server name (RFC 6066, 3). */
export function serverNameOf(host: string): Pick<ConnectionOptions, "servername"> {
  return isIP(host) ? {} : { servername: host };
}

/**
 * Connects to a peer that speaks HTTP/2.
 *
 * @param signal gives up
 * @throws Error what the network or the certificate's verification said
 */
export async function dial(peer: PeerAddress, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = "tls" in peer && peer.tls ? dialTls(peer.host, peer.port, peer.tls) : connectPlain(peer);
  const giveUp = (reason: Error): void => {
    socket.destroy();
    reject(reason);
  };
  const onAbort = (): void => giveUp(signal.reason);
  const timer = setTimeout(() => giveUp(new Error("no connection in time")), DIAL_TIMEOUT_MS);
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("error", reject);
  socket.once("close", () => reject(new Error("the peer closed the connection")));
  socket.once("tls" in peer && peer.tls ? "secureConnect" : "connect", () => {
    const { alpnProtocol } = socket as TLSSocket;
    if (alpnProtocol === undefined || alpnProtocol === "h2") resolve(socket);
    else giveUp(new Error("the peer does not speak HTTP/2"));
  });
  try {
    const connected = await promise;
    connected.setNoDelay(true);
    return connected;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function dialTls(host: string, port: number, tls: ConnectionOptions): TLSSocket {
  return connectTls({ ...serverNameOf(host), ...tls, host, port, ALPNProtocols: ["h2"], minVersion: "TLSv1.2" });
}
