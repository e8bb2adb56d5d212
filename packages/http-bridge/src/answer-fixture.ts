import { request } from "node:http";
import { Duplex } from "node:stream";
import { type AnswerHead, AnswerParser } from "./answer-parser.ts";

/** What a parser made of an answer. */
export interface Parsed {
  /** Each 1xx, then the head, then how the body went on. Pieces of a body are joined. */
  informational: AnswerHead[];
  head: AnswerHead | undefined;
  body: string;
  /** undefined: the answer did not end. */
  trailers: string[] | undefined;
  keepAlive: boolean;
  /** Why it was refused. */
  fault: string | undefined;
}

/** How the bytes of an answer come: by one read, by one for each byte, or in pieces of these lengths, again and again. */
export type Cuts = "whole" | "each byte" | readonly number[];

/**
 * Has the parser read an answer.
 *
 * @param bytes what the peer sends; text is latin1
 * @param closed whether the peer ends its direction behind it
 * @throws Error if the parser told something out of order, or threw what is no Error
 */
export function parse(method: string, bytes: string | Buffer, cuts: Cuts = "whole", closed = false): Parsed {
  const parsed: Parsed = {
    informational: [],
    head: undefined,
    body: "",
    trailers: undefined,
    keepAlive: false,
    fault: undefined,
  };
  const ensure = (holds: boolean, what: string): void => {
    if (!holds) wrong.push(what);
  };
  const wrong: string[] = [];
  const parser = new AnswerParser(method, {
    informational: (head) => {
      ensure(parsed.head === undefined && head.status > 99 && head.status < 200, "a 1xx behind the head");
      parsed.informational.push(head);
    },
    head: (head) => {
      ensure(parsed.head === undefined && parsed.trailers === undefined, "a second head");
      parsed.head = head;
    },
    data: (piece) => {
      ensure(parsed.head !== undefined && parsed.trailers === undefined, "data without a head, or behind the end");
      ensure(piece.length > 0, "data without a byte");
      parsed.body += piece.toString("latin1");
    },
    end: (rawTrailers) => {
      ensure(parsed.head !== undefined && parsed.trailers === undefined, "an end without a head, or a second one");
      ensure(parser.over, "an end of an answer that is not over");
      parsed.trailers = rawTrailers;
    },
  });
  try {
    for (const piece of pieces(Buffer.from(bytes as string, "latin1"), cuts)) parser.read(piece);
    if (closed) parser.finish();
  } catch (error) {
    if (!(error instanceof Error) || error.constructor !== Error) wrong.push(`thrown: ${String(error)}`);
    parsed.fault = (error as Error).message;
  }
  ensure(parser.over === (parsed.trailers !== undefined), "over without an end");
  if (wrong.length > 0) throw new Error(wrong.join("; "));
  parsed.keepAlive = parser.keepAlive;
  return parsed;
}

function pieces(bytes: Buffer, cuts: Cuts): Buffer[] {
  if (cuts === "whole") return [bytes];
  const lengths = cuts === "each byte" ? [1] : cuts;
  const all: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    all.push(Buffer.from(bytes.subarray(at, at + length))); // a copy: a parser that keeps bytes keeps them from others
    at += length;
  }
  return all;
}

/** What node's own client makes of the same bytes, the connection's end behind them. */
export function parseByNode(method: string, bytes: string | Buffer): Promise<Parsed> {
  const parsed: Parsed = {
    informational: [],
    head: undefined,
    body: "",
    trailers: undefined,
    keepAlive: false,
    fault: undefined,
  };
  const socket = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  const { promise, resolve } = Promise.withResolvers<Parsed>();
  const asked = request({ method, createConnection: () => socket, setDefaultHeaders: false, maxHeaderSize: 2 ** 21 });
  asked.on("information", ({ statusCode: status, statusMessage: reason, rawHeaders }) => {
    parsed.informational.push({ status, reason, rawHeaders });
  });
  asked.on("upgrade", (response, _socket, first: Buffer) => {
    parsed.head = { status: 101, reason: response.statusMessage ?? "", rawHeaders: response.rawHeaders };
    resolve({ ...parsed, body: first.toString("latin1"), trailers: [] });
  });
  asked.on("response", (response) => {
    const { statusCode = 0, statusMessage = "", rawHeaders } = response;
    parsed.head = { status: statusCode, reason: statusMessage, rawHeaders };
    response.on("data", (piece: Buffer) => {
      parsed.body += piece.toString("latin1");
    });
    response.on("end", () => {
      parsed.trailers = response.complete ? response.rawTrailers : undefined;
    });
    response.on("error", () => {});
    response.on("close", () => resolve(parsed));
  });
  asked.on("error", (error) => {
    parsed.fault = error.message;
    resolve(parsed);
  });
  asked.end(() => {
    socket.push(Buffer.from(bytes as string, "latin1"));
    socket.push(null);
  });
  return promise;
}
