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

/**
 * Refuses a request that asks to be carried out as somebody else. It is refused and not only stripped: with `--as`
 * silently ignored the caller would act with more rights than were asked for.
 *
 * @throws FairleadError ACCESS_DENIED
 */
export function refuseImpersonation(head: RequestHead): void {
  const asked = head.headers.some(({ name }) => name.toLowerCase().startsWith("impersonate-"));
  if (!asked) return;
  const sentence = "impersonation (--as, --as-group, --as-uid) is not allowed through the tunnel; leave it out";
  throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

/**
 * The headers of the request to the apiserver: the caller's, less the reserved ones, and those that impersonate.
 *
 * @param host the apiserver's host and port
 * @param token this process's own credential, if it is a bearer token
 * @returns node's raw form
 */
export function impersonatingHeaders(head: RequestHead, subject: Subject, host: string, token?: string): string[] {
  const headers = ["Host", host, ...toRawHeaders(head.headers, isReserved)];
  const protocols = subprotocolsOf(head)?.protocols ?? [];
  if (protocols.length > 0) headers.push("Sec-WebSocket-Protocol", protocols.join(", "));
  headers.push("Audit-ID", exchangeIdText(head.exchangeId));
  if (token !== undefined) headers.push("Authorization", `Bearer ${token}`);
  headers.push("Impersonate-User", utf8(subject.user));
  for (const group of subject.groups) headers.push("Impersonate-Group", utf8(group));
  if (subject.uid !== undefined) headers.push("Impersonate-Uid", utf8(subject.uid));
  return headers;
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
