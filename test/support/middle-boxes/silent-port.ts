import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { RunningProgram } from "../running-program.ts";

const LISTENER = `require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
  console.log(this.address().port);
})`;
/** A connection that is not there by then will not come, in milliseconds. */
const DROPPED_MS = 500;

/**
 * A port to which connections are dropped, as a firewall does: a process that listens and is stopped, with a full queue
 * (listen(2)), so that the kernel answers nobody.
 */
export class SilentPort {
  readonly url: string;
  readonly #listener: RunningProgram;
  readonly #sockets: readonly Socket[];

  private constructor(port: number, listener: RunningProgram, sockets: readonly Socket[]) {
    this.url = `https://127.0.0.1:${port}`;
    this.#listener = listener;
    this.#sockets = sockets;
  }

  static async start(): Promise<SilentPort> {
    const listener = new RunningProgram({ file: process.execPath, args: ["-e", LISTENER] });
    const [, port = ""] = await listener.waitForOutput(/^(\d+)\n/);
    listener.signal("SIGSTOP");
    const sockets: Socket[] = [];
    for (;;) {
      const socket = connect({ port: Number(port), host: "127.0.0.1" });
      socket.on("error", () => {});
      sockets.push(socket);
      await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), delay(DROPPED_MS)]);
      if (socket.connecting) return new SilentPort(Number(port), listener, sockets);
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#listener.stop();
  }
}
