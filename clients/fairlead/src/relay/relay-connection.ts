import { readFileSync } from "node:fs";
import { type Client, Code, type ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  AccessRuleService,
  CallerService,
  ClusterService,
  ErrorCode,
  FairleadError,
  GrpcConnection,
  Hop,
  hostAndPortOf,
  LateSocket,
  proxyFor,
  RelayService,
} from "@fairlead/protocol";
import { readErrors } from "@fairlead/protocol/rpc-errors";
import { misuse } from "../misuse.ts";
import { type TokenOwner, type TokenSource, tokenOwner } from "./token-source.ts";

/** How long a call to the relay may take, in milliseconds. */
const CALL_TIMEOUT_MS = 5_000;
/** How often a relay that says nothing is asked whether it is there, in milliseconds: a watch may be quiet for days. */
const PING_MS = 20_000;
/** How long the connection for calls is kept after the last one, in milliseconds: lanes have their own. */
const IDLE_MS = 1_000;

/** The relay as a client of it knows it. */
export interface RelayConnection extends TokenOwner {
  url: URL;
  /** The authority of its certificate, if it is not one of the system's. */
  tls: { ca?: Buffer };
  token: TokenSource;
  clusters: Client<typeof ClusterService>;
  accessRules: Client<typeof AccessRuleService>;
  caller: Client<typeof CallerService>;
  /** What anybody may ask: no token is taken for it. */
  relay: Client<typeof RelayService>;
  /** A new connection for lanes. @param goingAway the relay is stopping */
  openLanes(goingAway: () => void): GrpcConnection;
}

/**
 * Connects to a relay. Nothing is sent yet.
 *
 * @param address `https://HOST[:PORT]`
 * @param token gives the caller's token
 * @param owner whose token that is; by default what the token says
 * @param caFile authority that signed the relay's certificate; undefined for the system's. Verification cannot be turned off.
 * @throws FairleadError MALFORMED_REQUEST for an address or a file that cannot be used
 */
export function connectToRelay(
  address: string,
  caFile: string | undefined,
  token: TokenSource,
  owner: TokenOwner = tokenOwner(undefined, token, undefined),
): RelayConnection {
  const url = relayUrl(address);
  const tls = caFile === undefined ? {} : { ca: readCa(caFile) };
  const peer = { ...hostAndPortOf(url), tls };
  const sessionManager = new Http2SessionManager(
    url.origin,
    { idleConnectionTimeoutMs: IDLE_MS, pingIntervalMs: PING_MS },
    isDirect(peer) ? tls : { createConnection: () => new LateSocket(peer) },
  );
  const options = { baseUrl: url.origin, defaultTimeoutMs: CALL_TIMEOUT_MS, sessionManager };
  const explain = readErrors((fault) => explained(fault, url));
  const transport = createGrpcTransport({ ...options, interceptors: [authorize(token), explain] });
  return {
    url,
    tls,
    token,
    ...owner,
    clusters: createClient(ClusterService, transport),
    accessRules: createClient(AccessRuleService, transport),
    caller: createClient(CallerService, transport),
    relay: createClient(RelayService, createGrpcTransport({ ...options, interceptors: [explain] })),
    openLanes: (goingAway) => new GrpcConnection(() => peer, goingAway),
  };
}

function relayUrl(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol === "https:") return url;
  throw misuse(`${address} is not the address of a relay; give https://HOST:PORT`);
}

/**
 * Whether no HTTP proxy is to be used. node connects by itself then: connect-node lets the process end with its last call
 * only by a socket of node's own. What is wrong with HTTPS_PROXY, dialling tells.
 */
function isDirect({ host, port }: { host: string; port: number }): boolean {
  try {
    return proxyFor(host, port) === undefined;
  } catch {
    return false;
  }
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw misuse(`the authority's certificate ${file} cannot be read`, cause);
  }
}

/** Async also because connect clears a call's deadline only for a rejection: a throw would keep the process for 5 s. */
function authorize(token: TokenSource): Interceptor {
  return (next) => async (request) => {
    request.header.set("authorization", `Bearer ${await token()}`);
    return next(request);
  };
}

function explained(fault: ConnectError, url: URL): FairleadError {
  if (fault.code === Code.Unavailable || fault.code === Code.DeadlineExceeded || fault.code === Code.Internal) {
    return relayUnreachable(url, fault.rawMessage);
  }
  return FairleadError.from(fault, Hop.RELAY);
}

/** The relay cannot be reached. @param reason what the network said */
export function relayUnreachable(url: URL, reason: string): FairleadError {
  const why = /certificate|self.signed|unable to (get|verify)/i.test(reason)
    ? `its certificate cannot be verified (${reason}); give its authority with --relay-ca FILE`
    : `it does not answer (${reason}); check the address, your network and that the relay is up`;
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.RELAY, `the relay ${url.origin} cannot be reached: ${why}`);
}
