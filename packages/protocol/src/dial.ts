import { connect as connectPlain, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { connectThrough, proxyFor } from "./http-proxy.ts";
import { type PeerAddress, serverNameOf } from "./peer-address.ts";

/** How long a connection, TLS included, may take, in milliseconds. */
const DIAL_TIMEOUT_MS = 10_000;

/**
 * Connects to a peer that speaks HTTP/2, through the proxy that the environment names for it, if it names one. TLS is
 * the peer's own, from end to end: a proxy sees no more than its address.
 *
 * @param signal gives up
 * @throws Error what the network, the proxy or the certificate's verification said
 */
export async function dial(peer: PeerAddress, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const limit = new AbortController();
  const onAbort = (): void => limit.abort(signal.reason);
  const timer = setTimeout(() => limit.abort(new Error("no connection in time")), DIAL_TIMEOUT_MS);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const socket =
      "tls" in peer && peer.tls
        ? await dialTls(peer.host, peer.port, peer.tls, limit.signal)
        : await connected(connectPlain(peer), "connect", limit.signal);
    socket.setNoDelay(true);
    return socket;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

async function dialTls(host: string, port: number, tls: ConnectionOptions, signal: AbortSignal): Promise<Socket> {
  const proxy = proxyFor(host, port);
  const through = proxy && { socket: await connectThrough(proxy, host, port, signal) };
  const options = {
    ...serverNameOf(host),
    ...tls,
    host,
    port,
    ...through,
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.2",
  } as const;
  const socket = connectTls(options);
  await connected(socket, "secureConnect", signal);
  if (socket.alpnProtocol === "h2") return socket;
  socket.destroy();
  throw new Error("the peer does not speak HTTP/2");
}

/** A socket, when it says `event`. @throws Error if it closes before; `signal` closes it */
async function connected(socket: Socket, event: "connect" | "secureConnect", signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const onAbort = (): void => {
    socket.destroy();
    reject(signal.reason);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("error", reject);
  socket.once("close", () => reject(new Error("the peer closed the connection")));
  socket.once(event, () => resolve(socket));
  return promise.finally(() => signal.removeEventListener("abort", onAbort));
}
