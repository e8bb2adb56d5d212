import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";

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
