import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Something on the way that passes TCP on: it may end each connection at an age, and lose all that goes over it for a while. */
export class TcpBox {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isGone = false;

  private constructor(to: URL, endsAtMs: number | undefined) {
    this.#server = createServer((near) => {
      if (this.#isGone) return void this.#sockets.add(near.on("error", () => {}).resume());
      const far = connect({ host: to.hostname, port: Number(to.port) });
      const timer = endsAtMs === undefined ? undefined : setTimeout(() => near.destroy(), endsAtMs);
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

  /** @param to where it leads. @param endsAtMs the age at which connections end, in milliseconds; undefined: they do not */
  static async start(to: URL, endsAtMs?: number): Promise<TcpBox> {
    const box = new TcpBox(to, endsAtMs);
    await once(box.#server.listen(0, "127.0.0.1"), "listening");
    return box;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on whatever is sent is lost, and nobody is told; connections that there were stay so for good. */
  lose(): void {
    this.#isGone = true;
    for (const socket of this.#sockets) socket.unpipe().resume();
  }

  /** New connections get through again. */
  find(): void {
    this.#isGone = false;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
