import { checkLines } from "./headers.ts";

/** Prefix of the bearer token among WebSocket subprotocols (kubernetes/apiserver, websocket/protocol.go). */
const BEARER_PROTOCOL = "base64url.bearer.authorization.k8s.io.";

/** What the Sec-WebSocket-Protocol lines of a request say. */
export interface Subprotocols {
  /** The protocols proper, in order. */
  protocols: string[];
  /** The bearer tokens among them, decoded: browsers cannot send an Authorization header. */
  tokens: string[];
}

/**
 * Tells protocols from bearer tokens.
 *
 * @param lines the header's values; the tokens may sit in any of them
 * @throws FairleadError PROTOCOL_VIOLATION if a value is not one line: what is read here is written into a header again
 */
export function readSubprotocols(lines: readonly string[]): Subprotocols {
  checkLines(lines.flatMap((line) => ["Sec-WebSocket-Protocol", line]));
  const all = lines
    .flatMap((line) => line.split(","))
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "");
  const isBearer = (protocol: string): boolean => protocol.startsWith(BEARER_PROTOCOL);
  const decode = (protocol: string): string =>
    Buffer.from(protocol.slice(BEARER_PROTOCOL.length), "base64url").toString();
  return { protocols: all.filter((protocol) => !isBearer(protocol)), tokens: all.filter(isBearer).map(decode) };
}
