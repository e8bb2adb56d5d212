import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ListenerAddress } from "./flooding-peer.ts";

/** What a slow peer does before it falls silent. */
export interface Slowness {
  /** Undefined: not even a TLS handshake. */
  readonly protocol?: "h2" | "http/1.1";
  /** What it says then. */
  readonly says?: string;
}

/** Many connections that are made, and then say nothing more (slowloris). */
export class SlowPeers {
  readonly #sockets: Socket[];

  private constructor(sockets: Socket[]) {
    this.#sockets = sockets;
  }

  /** Connects so many, and waits until all are there. */
  static async connect(count: number, address: ListenerAddress, slowness: Slowness): Promise<SlowPeers> {
    return new SlowPeers(await Promise.all(Array.from({ length: count }, () => open(address, slowness))));
  }

  /** How many are still connected. */
  get count(): number {
    return this.#sockets.filter(({ destroyed }) => !destroyed).length;
  }

  end(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function open({ port, ...tls }: ListenerAddress, { protocol, says }: Slowness): Promise<Socket> {
  const to = { host: "127.0.0.1", port };
  const socket = protocol ? connectTls({ ...to, ...tls, ALPNProtocols: [protocol] }) : connectTcp(to);
  socket.resume();
  await once(socket, protocol ? "secureConnect" : "connect");
  socket.on("error", () => {}); // it is cut
  if (says !== undefined) socket.write(says);
  return socket;
}
