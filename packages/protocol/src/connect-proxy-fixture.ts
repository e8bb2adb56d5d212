import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { PEER_CERT, PEER_KEY } from "./tls-fixture.ts";

/** What a proxy does with a CONNECT. */
export interface ProxyOptions {
  /** Where it connects to on 127.0.0.1, whatever it is asked for. */
  to?: number;
  /** Answers so in place of connecting. Empty: it never answers. */
  answer?: string;
  /** Is spoken to over TLS. */
  tls?: boolean;
}

/** A small CONNECT proxy on loopback. */
export class ConnectProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Each CONNECT: what it asked for, and its headers. */
  readonly asked: { target: string; headers: IncomingHttpHeaders }[] = [];
  /** All that clients sent through it, as text. */
  passed = "";
  /** Resolves when the first CONNECT came. */
  readonly came: Promise<void>;

  private constructor({ to, answer, tls }: ProxyOptions) {
    this.#server = tls ? createTlsServer({ cert: PEER_CERT, key: PEER_KEY }) : createServer();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.came = promise;
    this.#server.on("connection", (socket: Socket) => this.#keep(socket));
    this.#server.on("connect", ({ url = "", headers }, socket: Socket) => {
      this.asked.push({ target: url, headers });
      resolve();
      socket.once("end", () => socket.destroy()); // node's HTTP server leaves it half-open
      if (answer !== undefined) {
        socket.resume(); // to hear of its end
        return void socket.write(answer);
      }
      if (to === undefined) throw new Error("the proxy has no way on");
      const onward = this.#keep(connect(to, "127.0.0.1"));
      socket.once("close", () => onward.destroy());
      onward.once("close", () => socket.destroy());
      onward.once("connect", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        socket.on("data", (bytes: Buffer) => {
          this.passed += bytes.toString("latin1");
        });
        socket.pipe(onward).pipe(socket);
      });
    });
  }

  static async start(options: ProxyOptions): Promise<ConnectProxy> {
    const proxy = new ConnectProxy(options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many connections there are, from clients and onwards. */
  get connections(): number {
    return this.#sockets.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}

const VARIABLES = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()]);

/** Sets the environment's proxies, and no others. @returns puts back what was there */
export function withProxies(variables: Record<string, string>): () => void {
  const before = VARIABLES.map((name) => [name, process.env[name]] as const);
  for (const name of VARIABLES) delete process.env[name];
  Object.assign(process.env, variables);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}
