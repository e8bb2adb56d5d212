import { isWatch } from "@fairlead/authorization";
import { ErrorCode, type FairleadError, type RequestHead } from "@fairlead/protocol";
import { rawValues } from "./header-lines.ts";
import { statusBody } from "./status.ts";

/** What ends a watch for good. After another fault a client watches again from where it was, and needs no event. */
const ENDS_OF_ACCESS: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.TOKEN_REFUSED,
  ErrorCode.ACCESS_DENIED,
  ErrorCode.CLUSTER_UNKNOWN,
]);
const LINE_END = 0x0a;

/**
 * Follows the borders of a watch's events, so that a last one can be put behind them: `ERROR` with a Status
 * (k8s.io/apimachinery, watch.Error). Events in JSON end with a line; others cannot be told apart without decoding.
 */
export class WatchFault {
  #isAtBorder = true;

  /**
   * @param headers the answer's, in node's raw form
   * @returns undefined where the answer is no watch in plain JSON
   */
  static for(request: RequestHead, status: number, headers: readonly string[]): WatchFault | undefined {
    if (status !== 200 || rawValues(headers, "content-encoding").length > 0) return undefined;
    const [type = ""] = rawValues(headers, "content-type");
    return /^application\/json(;|$)/.test(type) && isWatch(request) ? new WatchFault() : undefined;
  }

  /** Bytes of the answer went to the client. */
  pass(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#isAtBorder = bytes.at(-1) === LINE_END;
  }

  /** The event that tells why the watch ends; undefined where it is just to be cut. */
  event(error: FairleadError): string | undefined {
    if (!this.#isAtBorder || !ENDS_OF_ACCESS.has(error.code)) return undefined;
    return `{"type":"ERROR","object":${statusBody(error)}}\n`;
  }
}
