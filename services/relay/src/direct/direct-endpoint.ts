import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import {
  checkRequest,
  Http2Answer,
  Http2Request,
  header,
  InboundExchanges,
  type InboundMessage,
  type Judged,
  readSubprotocols,
  TIMINGS_HEADER,
  toFrameHeaders,
} from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop, newExchangeId, RequestHeadSchema } from "@fairlead/protocol";
import type { AccessServiceHandler } from "../lanes/access-service.ts";
import { VERSION } from "../version.ts";
import type { DirectAddresses } from "./direct-address.ts";

/** Headers of the caller's that end here. */
const OWN_HEADERS = new Set(["host", "sec-websocket-protocol", TIMINGS_HEADER]);

/**
 * Clusters as HTTPS servers, for every client that has a kubeconfig and a token and no client proxy: each request becomes
 * an exchange on a lane from within the relay, and is judged there as any client proxy's.
 *
 * A request counts by its bearer token alone. There is no cookie, no client certificate and no other scheme, nothing that
 * a browser adds by itself: so a page of another site can do no more than any stranger, and `Origin` is not looked at.
 */
export class DirectEndpoint {
  readonly #addresses: DirectAddresses;
  readonly #exchanges: InboundExchanges;
  #underWay = 0;

  constructor(addresses: DirectAddresses, access: AccessServiceHandler) {
    this.#addresses = addresses;
    this.#exchanges = new InboundExchanges({
      hop: Hop.RELAY,
      judge: async (request, upgrade) => this.#judge(request, upgrade),
      takeLane: () => access.openLane(),
      releaseLane: (lane) => lane.end(), // it costs nothing to open another
    });
  }

  /** How many exchanges have their lane, and not yet all of their answer. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Whether a request is for a cluster. */
  covers(url: string | undefined, host: string | undefined): boolean {
    return this.#addresses.covers({ target: url ?? "", host: host ?? "" });
  }

  /** Serves a request that came by HTTP/1.1. */
  request(request: IncomingMessage, response: ServerResponse): void {
    void this.#exchanges.request(request, response);
  }

  /** Serves a request that came by HTTP/2. @param rawHeaders names and values in turn */
  stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]): void {
    const request = new Http2Request(stream, headers, rawHeaders);
    void this.#exchanges.request(request, new Http2Answer(stream, request));
  }

  /** Serves a request for an upgrade, which HTTP/1.1 alone has. @param first what came behind its head */
  upgrade(request: IncomingMessage, socket: Socket, first: Buffer): void {
    socket.allowHalfOpen = true; // each direction of what follows ends by itself
    void this.#exchanges.upgrade(request, socket, first);
  }

  /** Makes the head of a request. Who asks, and whether they may, is judged where it leads. */
  #judge(request: InboundMessage, upgrade: string): Judged {
    checkRequest(request, Hop.RELAY);
    const { cluster, target } = this.#addresses.read({ target: request.url ?? "", host: request.headers.host ?? "" });
    request.url = target;
    const head = create(RequestHeadSchema, {
      exchangeId: newExchangeId(),
      cluster,
      method: request.method ?? "",
      target,
      headers: toFrameHeaders(request.rawHeaders, OWN_HEADERS),
      upgrade,
      wantsTimings: request.headers[TIMINGS_HEADER] !== undefined,
      client: `fairlead-relay/${VERSION}`,
    });
    const asked = request.headers["sec-websocket-protocol"];
    if (asked !== undefined) head.headers.push(...readWebSocketHeaders(asked, request.headers.authorization));
    return { head, begin: () => this.#begin() };
  }

  #begin(): () => void {
    this.#underWay++;
    return () => void this.#underWay--;
  }
}

/**
 * Makes of the subprotocols those that the cluster is to see, and of a token among them the header that it stands for: a
 * page in a browser cannot send that one (kubernetes/apiserver, authentication/request/websocket). A header goes first.
 */
function readWebSocketHeaders(asked: string, authorization: string | undefined) {
  const { protocols, tokens } = readSubprotocols([asked]);
  const [token] = tokens;
  if (tokens.length > 1) {
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.RELAY, "the request has several tokens; send one");
  }
  return [
    ...(protocols.length > 0 ? [header("Sec-WebSocket-Protocol", protocols.join(", "))] : []),
    ...(token !== undefined && authorization === undefined ? [header("Authorization", `Bearer ${token}`)] : []),
  ];
}
