import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { buffer } from "node:stream/consumers";

/** An HTTP server that stands for what listens in a pod; the test kubelet forwards to this machine's ports. */
export class LocalService {
  readonly port: number;
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Answers every request with its path and the hash of its body, or with `size` bytes on /bytes/size. */
  static async start(): Promise<LocalService> {
    const server = createServer(async (incoming, response) => {
      const [, size] = incoming.url?.match(/^\/bytes\/(\d+)$/) ?? [];
      if (size) {
        response.end(Buffer.alloc(Number(size), "fairlead"));
        return;
      }
      const hash = createHash("sha256")
        .update(await buffer(incoming))
        .digest("hex");
      response.end(`${incoming.url} ${hash}`);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return new LocalService(server);
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, "close");
  }
}

/** One request on a connection of its own. */
export async function fetchOnce(port: number, path: string, body?: Buffer): Promise<Buffer> {
  const outgoing = request({ port, path, method: body ? "POST" : "GET", agent: false });
  outgoing.end(body);
  const [response] = await once(outgoing, "response");
  return buffer(response);
}

/** Asks for that many bytes, takes the first of them, and breaks the connection off (RST). */
export async function breakOff(port: number, bytes: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  socket.write(`GET /bytes/${bytes} HTTP/1.1\r\nHost: pod\r\n\r\n`);
  await once(socket, "data");
  socket.resetAndDestroy();
  await once(socket, "close");
}
