import { create } from "@bufbuild/protobuf";
import { ErrorCode, type Error as ErrorMessage, ErrorSchema, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { MAX_ERROR_MESSAGE_BYTES } from "./limits.ts";

/**
 * The one error type of the tunnel: a code to act on, the hop that failed, and a sentence for people.
 * Errors of other libraries enter through {@link FairleadError.from}.
 */
export class FairleadError extends Error {
  override readonly name = "FairleadError";
  readonly code: ErrorCode;
  readonly hop: Hop;
  readonly retryAfterSeconds: number;

  /**
   * @param code what a program may act on
   * @param hop the hop that failed
   * @param message what failed and what to do; cut at 700 bytes; never a token
   * @param options `cause` for the log, `retryAfterSeconds` only if the request never left this hop
   */
  constructor(
    code: ErrorCode,
    hop: Hop,
    message: string,
    options: { cause?: unknown; retryAfterSeconds?: number } = {},
  ) {
    super(cutToBytes(message, MAX_ERROR_MESSAGE_BYTES), options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.hop = hop;
    this.retryAfterSeconds = options.retryAfterSeconds ?? 0;
  }

  /**
   * Takes in an error of unknown origin: a FairleadError stays, also one that a library has wrapped; all else becomes
   * INTERNAL at `hop`.
   */
  static from(error: unknown, hop: Hop): FairleadError {
    if (error instanceof FairleadError) return error.hop === Hop.UNSPECIFIED ? error.#of(hop) : error;
    if (error instanceof Error && error.cause instanceof FairleadError) return error.cause;
    const reason = error instanceof Error ? error.message : String(error);
    return new FairleadError(ErrorCode.INTERNAL, hop, `${hopName(hop)} failed: ${reason}`, { cause: error });
  }

  #of(hop: Hop): FairleadError {
    const { code, message, retryAfterSeconds } = this;
    return new FairleadError(code, hop, message, { retryAfterSeconds, cause: this });
  }

  /** Reads an error that came over the wire. */
  static fromMessage(message: ErrorMessage): FairleadError {
    return new FairleadError(message.code, message.hop, message.message, {
      retryAfterSeconds: message.retryAfterSeconds,
    });
  }

  /** The error as it goes over the wire. */
  toMessage(): ErrorMessage {
    const { code, hop, message, retryAfterSeconds } = this;
    return create(ErrorSchema, { code, hop, message, retryAfterSeconds });
  }
}

/** What is said of a request that had gone on when something failed. */
export const MAY_HAVE_BEEN_CARRIED_OUT =
  "while the request was under way; it may have been carried out, so look before you repeat it";

/** Ends what is under way when a hop stops, and its grace is over. */
export function stopped(hop: Hop): FairleadError {
  return new FairleadError(
    ErrorCode.CONNECTION_LOST,
    hop,
    `the ${hopName(hop)} was stopped ${MAY_HAVE_BEEN_CARRIED_OUT}`,
  );
}

/** The name of a hop as people read it: `client proxy`, `relay`, `agent`, `identity proxy`, `apiserver`. */
export function hopName(hop: Hop): string {
  return (Hop[hop] ?? "unknown hop").toLowerCase().replaceAll("_", " ");
}

/** The name of a code as programs read it, such as `AGENT_NOT_CONNECTED`. */
export function errorCodeName(code: ErrorCode): string {
  return ErrorCode[code] ?? `CODE_${code}`;
}

/** Also mends halves of surrogate pairs, which neither protobuf nor gRPC can carry. */
function cutToBytes(text: string, most: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text.toWellFormed();
  const kept = bytes.subarray(0, most - 4).toString();
  return `${kept.replace(/\uFFFD$/, "")}…`;
}
