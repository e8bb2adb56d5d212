import type { IncomingHttpHeaders } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { InboundMessage } from "./inbound-message.ts";

/** A request that came by HTTP/2, in the terms of HTTP/1.1 (RFC 9113, 8.3.1). */
export class Http2Request implements InboundMessage {
  readonly method: string;
  url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
  readonly rawTrailers: string[] = [];
  readonly socket: { destroy(): void };
  readonly #stream: ServerHttp2Stream;

  /**
   * @param stream one that nobody has read yet
   * @param rawHeaders as they came, names and values in turn
   */
  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]) {
    this.#stream = stream;
    this.method = String(headers[":method"] ?? "");
    this.url = String(headers[":path"] ?? "");
    this.rawHeaders = withoutPseudoHeaders(rawHeaders);
    const ofUnknownLength = !stream.endAfterHeaders && headers["content-length"] === undefined;
    const host = headers[":authority"] ?? headers.host;
    this.headers = {
      ...headers,
      ...(host !== undefined && { host: String(host) }),
      ...(ofUnknownLength && { "transfer-encoding": "chunked" }),
    };
    this.socket = { destroy: () => stream.close(constants.NGHTTP2_CANCEL) };
    stream.on("error", () => {}); // "close" follows and tells
    stream.on("trailers", (_trailers, _flags, raw: string[] = []) => this.rawTrailers.push(...raw));
  }

  on(event: "data", listener: (chunk: Buffer) => void): this;
  on(event: "end", listener: () => void): this;
  on(event: "data" | "end", listener: (chunk: Buffer) => void): this {
    if (event === "data") this.#stream.on("data", listener);
    // node may end a stream that its peer has reset, too: what came of the body would be taken for all of it
    else this.#stream.on("end", () => this.#stream.closed || (listener as () => void)());
    return this;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }
}

function withoutPseudoHeaders(raw: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (!raw[i]?.startsWith(":")) kept.push(raw[i] ?? "", raw[i + 1] ?? "");
  }
  return kept;
}
