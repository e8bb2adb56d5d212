import { type InboundMessage, readSubprotocols } from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { type LocalGrant, localGrant } from "./local-credential.ts";

/**
 * Judges whether a request to the local proxy comes from its kubeconfig's user: not from a web page in the user's
 * browser (which always sends Origin, or a Host of its own after DNS rebinding), and not from another user of the
 * machine, who cannot read the kubeconfig.
 *
 * @param port the port that the proxy listens on
 * @param localToken the kubeconfig's token, of a context without scope
 * @returns what the context that the request came by is for
 * @throws FairleadError ACCESS_DENIED, TOKEN_REFUSED
 */
export function checkLocalAccess(request: InboundMessage, port: number, localToken: string): LocalGrant {
  const { host, origin } = request.headers;
  if (origin !== undefined) throw denied("requests of web pages are refused");
  if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`)
    throw denied("the Host header is not this proxy's address");
  const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? bearerProtocol(request);
  const grant = given === undefined ? undefined : localGrant(given, localToken);
  if (grant) return grant;
  const sentence = "the local credential is missing or wrong; use the kubeconfig that `fairlead proxy` wrote";
  throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence);
}

/** Leaves the bearer token out of a Sec-WebSocket-Protocol value; undefined if nothing is left. */
export function withoutBearerProtocol(value: string): string | undefined {
  const { protocols } = readSubprotocols([value]);
  return protocols.length > 0 ? protocols.join(", ") : undefined;
}

function bearerProtocol({ headers }: InboundMessage): string | undefined {
  const asked = headers["sec-websocket-protocol"]; // node has joined the lines with commas
  return asked === undefined ? undefined : readSubprotocols([asked]).tokens[0];
}

function denied(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.CLIENT_PROXY, sentence);
}
