import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import type { FairleadError } from "./errors.ts";
import { Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type RequestFrame,
  RequestFrameSchema,
  type ResponseFrame,
  ResponseFrameSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { GrpcClientStream } from "./grpc-client-stream.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { GrpcServerStream } from "./grpc-server-stream.ts";
import { LANE_SERVER_OPTIONS } from "./http2-settings.ts";
import type { LaneEvents } from "./lane.ts";
import type { MessageStreamEvents } from "./message-stream.ts";
import { receiveWindows } from "./receive-windows.ts";

/** Both ends of one call. */
export interface Call {
  client: GrpcClientStream;
  server: GrpcServerStream;
  /** The http2 stream under `server`. */
  http2: ServerHttp2Stream;
}

/** A real node:http2 server and a real client of it, on loopback: one connection for all calls. */
export class CallFixture {
  readonly #server = createServer(LANE_SERVER_OPTIONS);
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #streams = new Mailbox<ServerHttp2Stream>();
  /** The request headers of the stream that came last. */
  lastHeaders: IncomingHttpHeaders = {};
  #client: GrpcConnection | undefined;
  #stock: Client | undefined;
  #rawClient: ClientHttp2Session | undefined;

  static async start(): Promise<CallFixture> {
    const fixture = new CallFixture();
    fixture.#server.on("session", (session) => {
      fixture.#sessions.add(session);
      session.on("close", () => fixture.#sessions.delete(session));
      receiveWindows.add(session);
    });
    fixture.#server.on("stream", (stream, headers) => {
      fixture.lastHeaders = headers;
      fixture.#streams.put(stream);
    });
    await new Promise<void>((resolve) => fixture.#server.listen(0, "127.0.0.1", resolve));
    const { port } = fixture.#server.address() as AddressInfo;
    fixture.#client = new GrpcConnection(() => ({ host: "127.0.0.1", port: port }));
    return fixture;
  }

  get client(): GrpcConnection {
    if (!this.#client) throw new Error("the fixture is not started");
    return this.#client;
  }

  /** A stock gRPC client of the same server, on a connection of its own. */
  get stock(): Client {
    const { port } = this.#server.address() as AddressInfo;
    this.#stock ??= new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    return this.#stock;
  }

  /** How many connections the server has. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** Opens a call. Not to be called again before it resolved: calls are told apart by their order. */
  async open(token?: string): Promise<Call> {
    const options = { peerHop: Hop.RELAY, ...(token !== undefined && { token }) };
    const client = new GrpcClientStream(this.client, "/fairlead.test/Call", options);
    const http2 = await this.acceptStream();
    return { client, server: new GrpcServerStream(http2, Hop.AGENT), http2 };
  }

  /** Opens a call by a bare http2 client, which can send what no gRPC client would. All share one connection. */
  async openRaw(): Promise<{ client: ClientHttp2Stream; server: GrpcServerStream }> {
    const { port } = this.#server.address() as AddressInfo;
    this.#rawClient ??= connect(`http://127.0.0.1:${port}`);
    const headers = { ":method": "POST", ":path": "/fairlead.test/Call", "content-type": "application/grpc" };
    const client = this.#rawClient.request(headers);
    client.on("error", () => {});
    client.resume();
    return { client, server: new GrpcServerStream(await this.acceptStream(), Hop.AGENT) };
  }

  /** The next http2 stream that a client opens. */
  acceptStream(): Promise<ServerHttp2Stream> {
    return this.#streams.take();
  }

  /** Drops every connection at once. */
  cut(): void {
    for (const session of this.#sessions) session.destroy();
  }

  async close(): Promise<void> {
    this.#client?.close();
    this.#stock?.close();
    this.#rawClient?.destroy();
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Resolves when a figure has not changed for 200 ms: nothing tells that a flow has come to a stop. */
export async function settled(read: () => number): Promise<number> {
  let last = Number.NaN;
  for (let still = 0; still < 8; ) {
    const now = read();
    still = now === last ? still + 1 : 0;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return last;
}

/** Values in the order in which they came, for a test to await. */
export class Mailbox<T> {
  readonly #values: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  get size(): number {
    return this.#values.length;
  }

  put(value: T): void {
    const taker = this.#takers.shift();
    if (taker) taker(value);
    else this.#values.push(value);
  }

  take(): Promise<T> {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift() as T);
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}

/** Remembers what a message stream tells its owner. */
export class StreamRecord implements MessageStreamEvents {
  readonly messages = new Mailbox<Uint8Array>();
  readonly ends = new Mailbox<true>();
  readonly drains = new Mailbox<true>();
  /** With what the stream closed, each time that it said so. */
  readonly closes = new Mailbox<FairleadError | undefined>();

  message(message: Uint8Array): void {
    this.messages.put(message);
  }
  ended(): void {
    this.ends.put(true);
  }
  drained(): void {
    this.drains.put(true);
  }
  closed(error?: FairleadError): void {
    this.closes.put(error);
  }
}

/** Remembers what a lane tells its owner. */
export class LaneRecord implements LaneEvents {
  readonly frames = new Mailbox<{ field: number; message: Uint8Array }>();
  readonly drains = new Mailbox<true>();
  readonly idles = new Mailbox<true>();
  readonly closes = new Mailbox<FairleadError | undefined>();

  frame(field: number, message: Uint8Array): void {
    this.frames.put({ field, message });
  }
  drained(): void {
    this.drains.put(true);
  }
  idle(): void {
    this.idles.put(true);
  }
  closed(error?: FairleadError): void {
    this.closes.put(error);
  }
}

type Init<F extends { case: string | undefined; value?: unknown }> = Exclude<F, { case: undefined }>["case"];

/** A request frame in its binary form, empty but for its case. */
export function requestMessage(name: Init<RequestFrame["frame"]>): Uint8Array {
  return toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame: { case: name, value: {} } }));
}

/** A response frame in its binary form, empty but for its case. */
export function responseMessage(name: Init<ResponseFrame["frame"]>): Uint8Array {
  return toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame: { case: name, value: {} } }));
}

/** Random numbers that are the same in each run (mulberry32), so that a failure can be repeated by its seed. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
