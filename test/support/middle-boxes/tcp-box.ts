import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Something on the way that passes TCP on, and ends each connection at an age, whatever goes over it. */
export class TcpBox {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(to: URL, endsAtMs: number) {
    this.#server = createServer((near) => {
      const far = connect({ host: to.hostname, port: Number(to.port) });
      const timer = setTimeout(() => near.destroy(), endsAtMs);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.once("close", () => {
          this.#sockets.delete(socket);
          clearTimeout(timer);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
  }

  /** @param to where it leads. @param endsAtMs the age at which connections end, in milliseconds */
  static async start(to: URL, endsAtMs: number): Promise<TcpBox> {
    const box = new TcpBox(to, endsAtMs);
    await once(box.#server.listen(0, "127.0.0.1"), "listening");
    return box;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
