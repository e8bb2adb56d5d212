import { MAX_HEAD_BYTES } from "@fairlead/protocol";
import { asHeaders, rawValues } from "./header-lines.ts";

/** The head of an answer, headers in node's raw form. */
export interface AnswerHead {
  status: number;
  reason: string;
  rawHeaders: string[];
}

/** What an answer consists of, in this order. */
export interface AnswerEvents {
  /** A 1xx other than 101. */
  informational(head: AnswerHead): void;
  /** The head of the answer. After a 101 every further byte is `data`. */
  head(head: AnswerHead): void;
  data(bytes: Buffer): void;
  /** The answer is complete. @param rawTrailers in node's raw form */
  end(rawTrailers: string[]): void;
}

type State = "head" | "length" | "until close" | "chunk size" | "chunk" | "chunk end" | "trailers" | "raw" | "over";

/** Most bytes of a line that begins a chunk; extensions are legal and useless. */
const MAX_CHUNK_LINE_BYTES = 4_096;
const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
/** A `Connection` line that has `close` in it (RFC 9112, 9.6). */
const CLOSE = /(^|,)\s*close\s*(,|$)/i;
const CHUNK_LINE = /^([\da-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/i;

/**
 * Reads the answer to one request on an HTTP/1.1 connection (RFC 9112). It is strict where node's parser is lenient:
 * lines end with CRLF, headers are not folded, and an answer has one clear length.
 */
export class AnswerParser {
  readonly #method: string;
  readonly #events: AnswerEvents;
  #state: State = "head";
  /** The beginning of a head or a line. */
  #held: Buffer | undefined;
  /** Bytes still to come of the body or the chunk. */
  #left = 0;
  #keepAlive = false;

  /** @param method the request's: an answer to HEAD has no body */
  constructor(method: string, events: AnswerEvents) {
    this.#method = method;
    this.#events = events;
  }

  /** Whether the answer is complete. */
  get over(): boolean {
    return this.#state === "over";
  }

  /** Whether the connection may be used again, once the answer is over. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** Takes bytes in. @throws Error if they are no answer of HTTP/1.1, or go on behind it */
  read(chunk: Buffer): void {
    let bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = undefined;
    while (bytes.length > 0) {
      const used = this.#step(bytes);
      if (used === undefined) {
        this.#held = bytes;
        return;
      }
      bytes = bytes.subarray(used);
    }
  }

  /** The peer ended its direction. @throws Error if the answer was not complete */
  finish(): void {
    if (this.#state === "until close" || this.#state === "raw") return this.#over([]);
    if (this.#state !== "over") throw new Error("closed within the answer");
  }

  /** Reads one piece. @returns how many bytes it had; undefined if it is not complete */
  #step(bytes: Buffer): number | undefined {
    switch (this.#state) {
      case "head":
        return this.#readHead(bytes);
      case "length":
      case "chunk":
        return this.#readCounted(bytes);
      case "until close":
      case "raw":
        this.#events.data(bytes);
        return bytes.length;
      case "chunk size":
        return this.#readChunkSize(bytes);
      case "chunk end":
        return this.#readChunkEnd(bytes);
      case "trailers":
        return this.#readTrailers(bytes);
      case "over":
        throw new Error("bytes came behind the answer");
    }
  }

  #readHead(bytes: Buffer): number | undefined {
    const end = bytes.indexOf("\r\n\r\n");
    if (isOver(MAX_HEAD_BYTES, end, bytes, 4)) throw new Error("the answer's head is over 1 MiB");
    // What will never be a head is not waited for.
    if (end < 0 && !startsAlike(bytes, PROTOCOL)) throw new Error("the answer is not HTTP/1.1");
    if (end < 0) return undefined;
    const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
    const match = STATUS_LINE.exec(first);
    if (match === null) throw new Error("the answer is not HTTP/1.1");
    const head = { status: Number(match[2]), reason: match[3] ?? "", rawHeaders: asHeaders(lines) };
    if (head.status >= 200) this.#begin(head, match[1] === "1");
    else if (head.status === 101) {
      this.#state = "raw";
      this.#events.head(head);
    } else if (head.status >= 100) this.#events.informational(head);
    else throw new Error(`${head.status} is no status`);
    return end + 4;
  }

  /** How long the body is (RFC 9112, 6.3). Two answers to that question are none. */
  #begin(head: AnswerHead, isHttp11: boolean): void {
    const lengths = rawValues(head.rawHeaders, "content-length");
    const encodings = rawValues(head.rawHeaders, "transfer-encoding");
    const closes = rawValues(head.rawHeaders, "connection").some((line) => CLOSE.test(line));
    this.#keepAlive = isHttp11 && !closes;
    if (lengths.length + encodings.length > 1) throw new Error("the answer's length is said more than once");
    const [length] = lengths;
    const [encoding] = encodings;
    if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new Error("the answer's length is not a number");
    if (encoding !== undefined && encoding.toLowerCase() !== "chunked") throw new Error(`transfer coding ${encoding}`);
    const bare = this.#method === "HEAD" || head.status === 204 || head.status === 304;
    this.#left = Number(length ?? 0);
    if (bare || (length !== undefined && this.#left === 0)) this.#state = "over";
    else if (length !== undefined) this.#state = "length";
    else this.#state = encoding === undefined ? "until close" : "chunk size";
    if (this.#state === "until close") this.#keepAlive = false;
    this.#events.head(head);
    if (this.over) this.#events.end([]);
  }

  #readCounted(bytes: Buffer): number {
    const piece = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= piece.length;
    const isLast = this.#left === 0;
    if (isLast && this.#state === "chunk") this.#state = "chunk end";
    else if (isLast) this.#state = "over";
    this.#events.data(piece);
    if (this.over) this.#events.end([]);
    return piece.length;
  }

  #readChunkSize(bytes: Buffer): number | undefined {
    const end = bytes.indexOf("\r\n");
    const isTooLong = isOver(MAX_CHUNK_LINE_BYTES, end, bytes, 2);
    if (end < 0 && !isTooLong) return undefined;
    const size = isTooLong ? undefined : CHUNK_LINE.exec(bytes.toString("latin1", 0, end))?.[1];
    if (size === undefined) throw new Error("a chunk's size cannot be read");
    this.#left = Number.parseInt(size, 16);
    this.#state = this.#left === 0 ? "trailers" : "chunk";
    return end + 2;
  }

  #readChunkEnd(bytes: Buffer): number | undefined {
    if (bytes[0] !== CR || (bytes.length > 1 && bytes[1] !== LF)) throw new Error("a chunk does not end where it said");
    if (bytes.length < 2) return undefined;
    this.#state = "chunk size";
    return 2;
  }

  #readTrailers(bytes: Buffer): number | undefined {
    if (bytes[0] === CR && bytes[1] === LF) {
      this.#over([]);
      return 2;
    }
    const end = bytes.indexOf("\r\n\r\n");
    if (isOver(MAX_HEAD_BYTES, end, bytes, 4)) throw new Error("the trailers are over 1 MiB");
    if (end < 0) return undefined;
    this.#over(asHeaders(bytes.toString("latin1", 0, end).split("\r\n")));
    return end + 4;
  }

  #over(rawTrailers: string[]): void {
    this.#state = "over";
    this.#events.end(rawTrailers);
  }
}

const PROTOCOL = Buffer.from("HTTP/1.");
const CR = 13;
const LF = 10;

/**
 * Whether there are more than `limit` bytes before a border. One that is not there yet may have begun with the last
 * bytes, so that an answer meets the same limit however it is cut.
 *
 * @param end where the border begins; negative if it is not there
 * @param borderBytes its length
 */
function isOver(limit: number, end: number, bytes: Buffer, borderBytes: number): boolean {
  return end < 0 ? bytes.length >= limit + borderBytes : end > limit;
}

function startsAlike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, length, 0, length) === 0;
}
