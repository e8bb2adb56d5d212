import type { Socket } from "node:net";
import { ErrorCode, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import { checkTarget } from "./request-checks.ts";
import type { UpstreamPool } from "./upstream-pool.ts";

/** Where and as whom a request goes on: what the identity proxy decides about it. */
export interface Upstream {
  /** The connections to choose from. Upgrades get new ones. */
  pool: UpstreamPool;
  /** The headers to send, in node's raw form, Host in them; those that frame the message are not. */
  headers: string[];
  /** Hears the answer's status, of upgrades too. */
  answered?(status: number): void;
  /** Judges the answer's status: an error replaces the answer. */
  judge?(status: number): FairleadError | undefined;
  /**
   * When the exchange may go on no longer, in milliseconds since the epoch, and why; never, where it is not set. It may
   * be put off while the exchange is under way.
   */
  ends?: { atMs: number; why(): FairleadError };
  /** Hears, once, that the exchange is over, in whatever way. */
  over?(): void;
}

/** What a request is joined to that asks for a TCP connection in place of an answer of the apiserver's. */
export interface TcpUpstream extends Pick<Upstream, "answered" | "ends" | "over"> {
  /** Dials, with `allowHalfOpen`. Called for an upgrade; without one it was only asked whether it would be. */
  connect(): Socket;
  /** What went wrong with the connection, for people. @param connected whether it was made */
  explain(cause: Error, connected: boolean): FairleadError;
}

/** Decides where a request goes on. @throws FairleadError if it is refused */
export type Prepare = (head: RequestHead) => Upstream | TcpUpstream | Promise<Upstream | TcpUpstream>;

/** Methods go on as they came; CONNECT would make a tunnel of its own. */
const METHOD = /^(?!CONNECT$)[A-Z]{1,24}$/;
/** An upgrade's protocol (RFC 9110, 7.8); h2c would put a second protocol on the connection to the apiserver. */
const UPGRADE = /^(?!h2c$)[\w.-]{1,32}(\/[\w.-]{1,16})?$/i;

/** Refuses a head that cannot become one clean HTTP/1.1 request. @throws FairleadError MALFORMED_REQUEST */
export function checkHead(head: RequestHead, hop: Hop): void {
  checkTarget(head.target, hop);
  if (!METHOD.test(head.method)) {
    throw new FairleadError(ErrorCode.MALFORMED_REQUEST, hop, "the request's method is not one that can be carried");
  }
  if (head.upgrade !== "" && !UPGRADE.test(head.upgrade)) {
    throw new FairleadError(
      ErrorCode.MALFORMED_REQUEST,
      hop,
      "this upgrade cannot be carried; use SPDY/3.1 or websocket",
    );
  }
}

/** What went wrong on the way to the apiserver, told for people. @param sent whether the request may have gone on */
export function apiserverError(cause: Error, sent: boolean): FairleadError {
  if (cause instanceof FairleadError) return cause;
  const reason = (cause as NodeJS.ErrnoException).code ?? cause.message;
  return sent
    ? new FairleadError(
        ErrorCode.CONNECTION_LOST,
        Hop.APISERVER,
        `the connection to the apiserver was lost (${reason}); the request may have been carried out`,
        { cause },
      )
    : new FairleadError(
        ErrorCode.UNREACHABLE,
        Hop.APISERVER,
        `the identity proxy cannot reach the apiserver (${reason}); check that the apiserver is up`,
        { cause },
      );
}
