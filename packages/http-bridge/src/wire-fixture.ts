import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** One end of a TCP or TLS connection, for tests that look at bytes. Text is latin1: one character a byte. */
export class Wire {
  readonly socket: Socket;
  /** All that came. */
  received: Buffer = Buffer.alloc(0);
  /** Resolves when the peer has ended its direction in good order. */
  readonly ended: Promise<void>;
  /** Resolves when the connection is gone, with the error's code, if it was one. */
  readonly closed: Promise<string | undefined>;
  /** Resolves when the peer is gone, in whatever way. */
  readonly gone: Promise<unknown>;
  readonly #waiting = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    let code: string | undefined;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      code = error.code;
    });
    this.ended = new Promise((resolve) => socket.once("end", () => resolve()));
    this.closed = new Promise((resolve) => socket.once("close", () => resolve(code)));
    this.gone = Promise.race([this.ended, this.closed]);
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      for (const check of this.#waiting) check();
    });
    socket.on("close", () => {
      for (const check of this.#waiting) check();
    });
  }

  /** Connects to a port of this machine. The connection may be half-open. */
  static async connect(port: number): Promise<Wire> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Wire(socket);
  }

  get text(): string {
    return this.received.toString("latin1");
  }

  write(data: string | Uint8Array): void {
    if (typeof data === "string") this.socket.write(data, "latin1");
    else this.socket.write(data);
  }

  /** All that came, once it has `needle` in it, or that many bytes. @throws Error if the connection closes before */
  until(needle: string | number): Promise<string> {
    const has = (): boolean =>
      typeof needle === "number" ? this.received.length >= needle : this.text.includes(needle);
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (has()) resolve(this.text);
        else if (this.socket.destroyed) reject(new Error(`closed before ${JSON.stringify(needle)}: ${this.text}`));
        else return;
        this.#waiting.delete(check);
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** The first HTTP message's head, without its last empty line. */
  async head(): Promise<string> {
    return (await this.until("\r\n\r\n")).split("\r\n\r\n", 1)[0] ?? "";
  }

  /** Closes with an RST, as the kernel does for a process that dies with unread data. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

/** A server that shows the bytes that it gets, connection by connection. */
export class WireServer {
  readonly #server: Server;
  readonly #accepted: Wire[] = [];
  readonly #takers: ((wire: Wire) => void)[] = [];
  /** Every connection that there was. */
  readonly wires: Wire[] = [];

  /** @param server one that was made with allowHalfOpen, if half-closes matter */
  constructor(server: Server = createServer({ allowHalfOpen: true, noDelay: true }), event = "connection") {
    this.#server = server;
    server.on(event, (socket: Socket) => {
      const wire = new Wire(socket);
      this.wires.push(wire);
      const taker = this.#takers.shift();
      if (taker) taker(wire);
      else this.#accepted.push(wire);
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next connection. */
  accept(): Promise<Wire> {
    const wire = this.#accepted.shift();
    return wire ? Promise.resolve(wire) : new Promise((resolve) => this.#takers.push(resolve));
  }

  async close(): Promise<void> {
    for (const { socket } of this.wires) socket.destroy();
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

/** Whole numbers from 0 to below `end`, the same in each run (a linear congruential generator). */
export function seeded(seed: number): (end: number) => number {
  let state = seed;
  return (end) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}
