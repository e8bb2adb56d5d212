import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { type Agent, request as requestHttp1 } from "node:https";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { RelayFixture } from "../relay-fixture.ts";

/** An answer as a client read it. */
export interface DirectAnswer {
  status: number;
  /** By name in lower case; those that repeat have all their values. */
  headers: Record<string, string | string[] | undefined>;
  body: string;
  trailers: Record<string, string | string[] | undefined>;
}

/** What a client asks. */
export interface DirectRequest {
  path: string;
  method?: string;
  headers?: OutgoingHttpHeaders;
  body?: string;
}

/** Asks the relay by one version of HTTP, as any client could. */
export interface DirectClient {
  ask(request: DirectRequest): Promise<DirectAnswer>;
  close(): void;
}

/** A client of HTTP/1.1. @param agent whose connections are used; undefined: a new one for each request */
export function http1Client({ url, ca }: RelayFixture, agent?: Agent): DirectClient {
  return {
    ask: ({ path, method = "GET", headers = {}, body = "" }) =>
      new Promise((resolve, reject) => {
        const { hostname: host, port } = url;
        const options = { host, port, ca, path, method, headers, ...(agent ? { agent } : { agent: false }) };
        const asked = requestHttp1(options, (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("error", reject).on("end", () => {
            const { statusCode: status = 0, headers, trailers } = response;
            resolve({ status, headers, body: text, trailers });
          });
        });
        asked.on("error", reject).end(body);
      }),
    close: () => agent?.destroy(),
  };
}

/** A client of HTTP/2, with one connection. */
export function http2Client({ url, ca }: RelayFixture): DirectClient & { session: ClientHttp2Session } {
  const session = connectHttp2(url.origin, { ca });
  session.on("error", () => {}); // each request tells
  return {
    session,
    ask: ({ path, method = "GET", headers = {}, body }) =>
      new Promise((resolve, reject) => {
        const stream = session.request(
          { ...headers, ":path": path, ":method": method },
          { endStream: body === undefined },
        );
        const answer: DirectAnswer = { status: 0, headers: {}, body: "", trailers: {} };
        stream.on("response", (head) => {
          answer.status = Number(head[":status"]);
          answer.headers = head;
        });
        stream.on("trailers", (trailers) => (answer.trailers = trailers));
        stream.setEncoding("utf8").on("data", (chunk: string) => (answer.body += chunk));
        stream.on("error", reject).on("close", () => {
          if (stream.rstCode === 0) resolve(answer);
          else reject(new Error(`the stream was reset with ${stream.rstCode}`));
        });
        if (body !== undefined) stream.end(body);
      }),
    close: () => session.destroy(),
  };
}

/** A TLS connection to the relay by which bytes are sent as they are, as HTTP/1.1. */
export class RawClient {
  readonly socket: TLSSocket;
  text = "";
  readonly #ended: Promise<unknown>;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.setEncoding("latin1").on("data", (chunk: string) => (this.text += chunk));
    socket.on("error", () => {});
    this.#ended = once(socket, "close");
  }

  static async open({ url, ca }: RelayFixture): Promise<RawClient> {
    const socket = connectTls({ host: url.hostname, port: Number(url.port), ca, ALPNProtocols: ["http/1.1"] });
    await once(socket, "secureConnect");
    return new RawClient(socket);
  }

  /** Sends a request's lines, and the blank one behind them. */
  send(...lines: string[]): void {
    this.socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  }

  /** Waits until what came has this in it. @returns all that came */
  async until(part: string | RegExp): Promise<string> {
    while (this.text.search(part) < 0) {
      if (this.socket.destroyed) throw new Error(`the connection ended after ${JSON.stringify(this.text)}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this.text;
  }

  /** Waits until the relay has ended the connection. @returns all that came */
  async ended(): Promise<string> {
    await this.#ended;
    return this.text;
  }
}

/** One stream of HTTP/2, written frame by frame: node's own client would end a body before it resets it. */
export class RawHttp2 {
  readonly socket: TLSSocket;

  private constructor(socket: TLSSocket) {
    this.socket = socket.resume();
    socket.on("error", () => {});
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    this.#frame(4, 0, Buffer.alloc(0), 0); // SETTINGS
  }

  static async open({ url, ca }: RelayFixture): Promise<RawHttp2> {
    const socket = connectTls({ host: url.hostname, port: Number(url.port), ca, ALPNProtocols: ["h2"] });
    await once(socket, "secureConnect");
    return new RawHttp2(socket);
  }

  /** HEADERS of a request whose body is to come, each a literal (RFC 7541, 6.2.2). */
  headers(headers: Record<string, string>): void {
    const fields = Object.entries(headers).map(([name, value]) =>
      Buffer.concat([Buffer.of(0), ...[name, value].flatMap((text) => [lengthOf(text), Buffer.from(text)])]),
    );
    this.#frame(1, 0x4, Buffer.concat(fields));
  }

  data(text: string): void {
    this.#frame(0, 0, Buffer.from(text));
  }

  /** RST_STREAM. */
  reset(code: number): void {
    this.#frame(3, 0, Buffer.of(0, 0, 0, code));
  }

  #frame(type: number, flags: number, payload: Buffer, stream = 1): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    this.socket.write(Buffer.concat([head, payload]));
  }
}

/** A length with a prefix of 7 bits (RFC 7541, 5.1). */
function lengthOf(text: string): Buffer {
  if (text.length < 127) return Buffer.of(text.length);
  const bytes = [127];
  let left = text.length - 127;
  for (; left >= 128; left >>>= 7) bytes.push((left & 127) | 128);
  return Buffer.from([...bytes, left]);
}
