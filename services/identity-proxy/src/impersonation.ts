import type { Subject } from "@fairlead/authentication";
import { headerValues, readSubprotocols, type Subprotocols, toRawHeaders } from "@fairlead/http-bridge";
import { ErrorCode, exchangeIdText, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";

/*
 * Who authenticates: this process verifies the caller's token itself. Who authorizes: the apiserver, by the RBAC of
 * the person that we impersonate. What fails open: impersonation. A request whose Impersonate-User is lost is carried
 * out with the rights of this process. What we do about it: this process has no right but to impersonate (checked at
 * start-up, see least-privilege.ts); every header that could add to, change or strip ours is removed before ours are
 * set; the headers are built in one place, here; and node's `Connection` header never carries a name.
 */

/** Headers that are ours to say, or that another authenticator of the apiserver would believe. */
const OWN = new Set([
  "authorization",
  "host",
  "content-length",
  "audit-id",
  "dpop",
  "sec-websocket-protocol",
  "forwarded",
  "x-real-ip",
]);
const OWN_PREFIXES = ["impersonate-", "x-remote-", "x-forwarded-", "fairlead-"];

/** Whether a header of the caller's, by its name in lower case, is left out. */
function isReserved(name: string): boolean {
  return OWN.has(name) || OWN_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** Whether a request asks to be carried out as somebody else (`kubectl --as`). */
export function asksForImpersonation(head: RequestHead): boolean {
  return head.headers.some(({ name }) => name.toLowerCase().startsWith("impersonate-"));
}

/**
 * Such a request where it is not allowed is refused and not only stripped: with `--as` silently ignored the caller
 * would act with more rights than were asked for.
 */
export function impersonationRefused(): FairleadError {
  const sentence = "impersonation (--as, --as-group, --as-uid) is not allowed through the tunnel; leave it out";
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

/**
 * The headers of the request to the apiserver: the caller's, less the reserved ones, and those that impersonate.
 *
 * @param host the apiserver's host and port
 * @param token this process's own credential, if it is a bearer token
 * @returns node's raw form
 */
export function impersonatingHeaders(head: RequestHead, who: Impersonated, host: string, token?: string): string[] {
  const headers = callersHeaders(head, host);
  if (token !== undefined) headers.push("Authorization", `Bearer ${token}`);
  headers.push(...impersonationHeaders(who));
  return headers;
}

/** The headers of a request that goes on with the caller's own credential, and impersonates nobody. */
export function passingHeaders(head: RequestHead, host: string, token: string): string[] {
  return [...callersHeaders(head, host), "Authorization", `Bearer ${token}`];
}

/** The caller's headers, less the reserved ones, with the apiserver's Host and our own Audit-ID. */
function callersHeaders(head: RequestHead, host: string): string[] {
  const headers = ["Host", host, ...toRawHeaders(head.headers, isReserved)];
  const protocols = subprotocolsOf(head)?.protocols ?? [];
  if (protocols.length > 0) headers.push("Sec-WebSocket-Protocol", protocols.join(", "));
  headers.push("Audit-ID", exchangeIdText(head.exchangeId));
  return headers;
}

/** As whom a request is carried out. */
export type Impersonated = Pick<Subject, "user" | "groups" | "uid" | "extra">;

/** The headers that impersonate: user, each group and each value of an extra on a line of its own. */
export function impersonationHeaders({ user, groups, uid, extra = {} }: Impersonated): string[] {
  const headers = ["Impersonate-User", utf8(user)];
  for (const group of groups) headers.push("Impersonate-Group", utf8(group));
  if (uid !== undefined) headers.push("Impersonate-Uid", utf8(uid));
  for (const [key, values] of Object.entries(extra)) {
    const name = `Impersonate-Extra-${headerKey(key)}`;
    for (const value of values) headers.push(name, utf8(value));
  }
  return headers;
}

/** As client-go: what is no character of a header's name (RFC 9110, 5.6.2), and `%` itself, is percent-encoded. */
function headerKey(key: string): string {
  const encoded = (byte: string): string => `%${byte.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return utf8(key).replace(/[^a-z0-9!#$&'*+.^_`|~-]/g, encoded);
}

/**
 * The caller's token: from `Authorization`, or from the WebSocket subprotocol that browsers have to use.
 *
 * @returns undefined if there is none
 * @throws FairleadError MALFORMED_REQUEST if there are several
 */
export function callerToken(head: RequestHead): string | undefined {
  const authorization = headerValues(head.headers, "authorization");
  const tokens = subprotocolsOf(head)?.tokens ?? [];
  if (authorization.length + tokens.length > 1) {
    const sentence = "the request has more than one credential; send one";
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.IDENTITY_PROXY, sentence);
  }
  const [value] = authorization;
  if (value !== undefined) return /^Bearer +(\S+) *$/i.exec(value)?.[1];
  return tokens[0];
}

function subprotocolsOf(head: RequestHead): Subprotocols | undefined {
  const values = headerValues(head.headers, "sec-websocket-protocol");
  return values.length > 0 ? readSubprotocols(values) : undefined;
}

/** Go reads header bytes as UTF-8; node writes one byte a character. */
function utf8(text: string): string {
  return Buffer.from(text).toString("latin1");
}
