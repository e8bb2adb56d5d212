import { ErrorCode, FairleadError, type Header, Hop } from "@fairlead/protocol";
import { headerValues } from "./headers.ts";

/**
 * Frames the body of a request towards the apiserver so that its end cannot be moved. A Content-Length that is not
 * the body's would let the rest be read as a request of its own, without our impersonation headers.
 */
export class BodyLength {
  readonly #announced: number | undefined;
  #seen = 0;

  /** @throws FairleadError MALFORMED_REQUEST for a Content-Length that is repeated or not a number */
  constructor(headers: readonly Header[]) {
    const values = headerValues(headers, "content-length");
    const [value] = values;
    if (value === undefined) return;
    if (values.length > 1 || !/^\d{1,15}$/.test(value))
      throw malformed("the request's Content-Length is not one number");
    this.#announced = Number(value);
  }

  /** The framing headers of a request whose whole body is known, in node's raw form. */
  static ofWhole(method: string, bytes: number): string[] {
    const bare = bytes === 0 && !["POST", "PUT", "PATCH"].includes(method);
    return bare ? [] : ["Content-Length", String(bytes)];
  }

  /** The framing headers of a request whose body is still to come, in node's raw form. */
  get framing(): string[] {
    return this.#announced === undefined
      ? ["Transfer-Encoding", "chunked"]
      : ["Content-Length", String(this.#announced)];
  }

  /** Counts a piece. @throws FairleadError MALFORMED_REQUEST if the body gets longer than it was announced */
  count(bytes: number): void {
    this.#seen += bytes;
    if (this.#announced !== undefined && this.#seen > this.#announced) {
      throw malformed("the request's body is longer than its Content-Length");
    }
  }

  /** @throws FairleadError MALFORMED_REQUEST if the body is shorter than it was announced */
  finish(): void {
    if (this.#announced !== undefined && this.#seen < this.#announced) {
      throw malformed("the request's body is shorter than its Content-Length");
    }
  }
}

function malformed(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.IDENTITY_PROXY, sentence);
}
