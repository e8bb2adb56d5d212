import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A TCP load balancer on loopback with one way at a time, as an orchestrator has it while one process replaces another. */
export class Balancer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** The port that new connections go to. Those that there are stay where they are. */
  target = 0;

  private constructor() {
    this.#server = createServer((client) => {
      const upstream = connect(this.target, "127.0.0.1");
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => this.#sockets.delete(socket));
        socket.pipe(other);
      }
    });
  }

  static async start(): Promise<Balancer> {
    const balancer = new Balancer();
    await new Promise<void>((resolve) => balancer.#server.listen(0, "127.0.0.1", resolve));
    return balancer;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
