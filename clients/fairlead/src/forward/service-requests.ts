import { create } from "@bufbuild/protobuf";
import type { ProofKey } from "@fairlead/authentication";
import { type ServicePort, serviceTarget, TCP_UPGRADE } from "@fairlead/authorization";
import { header } from "@fairlead/http-bridge";
import {
  decodeResponse,
  ErrorCode,
  FairleadError,
  Hop,
  type Lane,
  newExchangeId,
  type RequestHead,
  RequestHeadSchema,
  WholeRequestSchema,
} from "@fairlead/protocol";
import type { TokenSource } from "../relay/token-source.ts";
import { CLIENT } from "../version.ts";

/** How long the cluster may take to say whether it would connect, in milliseconds. */
const ANSWER_MS = 10_000;
const WOULD_CONNECT = 204;

/** A request's head, with the token that it is sent by. */
interface MadeRequest {
  head: RequestHead;
  token: string;
}

/** Makes the requests for connections to Services of a cluster, with the caller's token as it is now. */
export class ServiceRequests {
  readonly #cluster: string;
  readonly #token: TokenSource;
  readonly #proofKey: ProofKey | undefined;

  /** @param proofKey the key that the token is bound to, if it is */
  constructor(cluster: string, token: TokenSource, proofKey?: ProofKey) {
    this.#cluster = cluster;
    this.#token = token;
    this.#proofKey = proofKey;
  }

  /** For a connection. @throws FairleadError TOKEN_REFUSED if there is no token */
  connection(port: ServicePort): Promise<MadeRequest> {
    return this.#make(port, TCP_UPGRADE);
  }

  /**
   * Asks whether a connection would be made, of all hops but the Service itself, which is not dialled.
   *
   * @param lane an idle lane; nobody else's until this resolves or rejects, and idle then unless it is closed
   * @throws FairleadError why not
   */
  async ask(port: ServicePort, lane: Lane): Promise<void> {
    const { head } = await this.#make(port, "");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let refusal: FairleadError | undefined;
    lane.start({
      frame: (_field, message) => {
        const frame = decodeResponse(message);
        if (frame.case === "error") refusal = FairleadError.fromMessage(frame.value);
        else if (frame.case !== "whole" || frame.value.head?.status !== WOULD_CONNECT) refusal = unknownHere();
        if (frame.case === "head") lane.reset(unknownHere());
      },
      drained: () => {},
      idle: () => (refusal ? reject(refusal) : resolve()),
      closed: (error) => reject(refusal ?? error ?? lost()),
    });
    if (lane.closed) throw lost();
    const late = new FairleadError(ErrorCode.TIMED_OUT, Hop.RELAY, "the cluster did not answer in time");
    const timer = setTimeout(() => lane.reset(late), ANSWER_MS);
    try {
      lane.sendRequest({ case: "whole", value: create(WholeRequestSchema, { head }) });
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async #make(port: ServicePort, upgrade: string): Promise<MadeRequest> {
    const token = await this.#token();
    const head = create(RequestHeadSchema, {
      exchangeId: newExchangeId(),
      cluster: this.#cluster,
      method: "POST",
      target: serviceTarget(port),
      headers: [header("Authorization", `Bearer ${token}`)],
      upgrade,
      client: CLIENT,
    });
    const proof = await this.#proofKey?.prove({ ...head, token });
    if (proof !== undefined) head.headers.push(header("DPoP", proof));
    return { head, token };
  }
}

/** It has passed the request on to an apiserver, which knows no such path. */
function unknownHere(): FairleadError {
  const sentence = "the cluster's identity proxy knows no connections to Services; it is to be updated";
  return new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.IDENTITY_PROXY, sentence);
}

function lost(): FairleadError {
  return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the connection was lost");
}
