/** Where a load is sent. It survives JSON, so that it can be told to another process. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** How TLS is spoken there; undefined for plain HTTP. */
  readonly tls: EndpointTls | undefined;
  /** What every request carries, such as Authorization. */
  readonly headers: Readonly<Record<string, string>>;
  /** An HTTP proxy that is asked by CONNECT for each connection; undefined for none. */
  readonly connectThrough?: ConnectProxy;
}

/** PEM texts. */
export interface EndpointTls {
  readonly ca: string;
  /** The name that the certificate is for; undefined for the host itself. */
  readonly servername?: string;
  /** A client's certificate and key, where that is who the load is. */
  readonly cert?: string;
  readonly key?: string;
}

/** A proxy that speaks HTTP CONNECT, on a Unix socket or on a port of loopback. */
export type ConnectProxy = { readonly socketPath: string } | { readonly port: number };

/** The bytes of a request to an endpoint, without a body. @param headers beside the endpoint's own */
export function requestBytes(
  { host, port, headers }: Endpoint,
  method: string,
  target: string,
  more: Readonly<Record<string, string>> = {},
): Buffer {
  const all = { Host: `${host}:${port}`, Accept: "application/json", ...headers, ...more };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
}
