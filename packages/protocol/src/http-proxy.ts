import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { BlockList, isIP, type Socket } from "node:net";
import { getProxyForUrl } from "proxy-from-env";
import { serverNameOf } from "./peer-address.ts";

/** A proxy that makes a TCP connection for us (RFC 9110, 9.3.6). */
export interface HttpProxy {
  /** Whether the proxy itself is spoken to over TLS. */
  tls: boolean;
  host: string;
  port: number;
  /** The value of Proxy-Authorization. Secret: it is in no error and no log. */
  authorization: string | undefined;
}

/**
 * The proxy that the environment names for a TLS peer: `HTTPS_PROXY`, less what `NO_PROXY` exempts, each also in lower
 * case. Like Go's clients, kubectl among them, it takes no `ALL_PROXY`, and never sends loopback through a proxy; in
 * `NO_PROXY`, `example.com` stands for the names under it as well, and `10.0.0.0/8` for its addresses.
 *
 * @returns undefined to go directly
 * @throws Error if what the environment names is no HTTP proxy; it shows nothing of the value
 */
export function proxyFor(host: string, port: number): HttpProxy | undefined {
  const named = process.env.https_proxy || process.env.HTTPS_PROXY;
  if (!named || isLoopback(host) || isExempt(host.toLowerCase())) return undefined;
  if (getProxyForUrl(`https://${authorityOf(host, port)}`) === "") return undefined;
  const url = URL.parse(named.includes("://") ? named : `http://${named}`);
  const authorization = url && authorizationOf(url);
  if (!url || authorization === null || !["http:", "https:"].includes(url.protocol)) {
    throw new Error("HTTPS_PROXY is not the address of an HTTP proxy; give http://HOST:PORT");
  }
  const tls = url.protocol === "https:";
  return { tls, host: unbracketed(url.hostname), port: Number(url.port || (tls ? 443 : 80)), authorization };
}

/**
 * Has a proxy connect to a peer.
 *
 * @param signal gives up
 * @returns the connection, on which the peer's bytes come
 * @throws Error that names the proxy and says what it answered, or why it cannot be reached
 */
export function connectThrough(proxy: HttpProxy, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const target = authorityOf(host, port);
  const fail = (reason: string): void =>
    reject(new Error(`the proxy ${authorityOf(proxy.host, proxy.port)} does not connect to ${target}: ${reason}`));
  const headers = { host: target, ...(proxy.authorization && { "proxy-authorization": proxy.authorization }) };
  const asked = (proxy.tls ? requestTls : requestPlain)({
    ...{ host: proxy.host, port: proxy.port, method: "CONNECT", path: target, headers, agent: false },
    ...(proxy.tls && { ...serverNameOf(proxy.host), ALPNProtocols: ["http/1.1"] }),
  });
  const onAbort = (): void => {
    fail(signal.reason.message);
    asked.destroy();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  asked.on("error", (cause) => fail(cause.message));
  asked.once("connect", ({ statusCode: status = 0 }, socket: Socket, first) => {
    socket.on("error", () => {}); // TLS on top of it tells
    if (status >= 200 && status < 300) {
      if (first.length > 0) socket.unshift(first);
      return resolve(socket);
    }
    socket.destroy();
    fail(status === 407 ? "it wants credentials (HTTP 407)" : `it answers HTTP ${status}`);
  });
  asked.end();
  return promise.finally(() => signal.removeEventListener("abort", onAbort));
}

function authorityOf(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}

/** undefined if there are no credentials, null if they cannot be read. */
function authorizationOf({ username, password }: URL): string | undefined | null {
  if (username === "" && password === "") return undefined;
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(credentials).toString("base64")}`;
  } catch {
    return null;
  }
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8);
LOOPBACK.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  return /^(.+\.)?localhost\.?$/i.test(host) || isIn(LOOPBACK, host);
}

/** What `NO_PROXY` means to Go's clients beyond what it means to the library. */
function isExempt(host: string): boolean {
  const entries = (process.env.no_proxy || process.env.NO_PROXY || "").toLowerCase().split(/[,\s]+/);
  return entries.some((entry) => (isIP(host) > 0 ? isIn(networkOf(entry), host) : host.endsWith(`.${entry}`)));
}

function networkOf(entry: string): BlockList {
  const network = new BlockList();
  const [, address = "", prefix] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
  const version = isIP(address);
  if (version > 0 && Number(prefix) <= (version === 4 ? 32 : 128)) {
    network.addSubnet(address, Number(prefix), version === 4 ? "ipv4" : "ipv6");
  }
  return network;
}

function isIn(network: BlockList, host: string): boolean {
  const version = isIP(host);
  return version > 0 && network.check(host, version === 4 ? "ipv4" : "ipv6");
}
