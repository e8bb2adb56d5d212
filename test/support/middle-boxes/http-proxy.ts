import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";

/** An HTTP proxy that connects to one place, whatever it is asked for, for whoever has the credentials. */
export class HttpProxyBox {
  readonly #server: Server;

  private constructor(to: URL, credentials: string) {
    this.#server = createServer();
    const due = `Basic ${Buffer.from(credentials).toString("base64")}`;
    this.#server.on("connect", ({ headers }, socket) => {
      socket.on("error", () => {});
      if (headers["proxy-authorization"] !== due) {
        return void socket.end(
          'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="office"\r\n\r\n',
        );
      }
      const onward = connect({ host: to.hostname, port: Number(to.port) });
      onward.on("error", () => socket.destroy());
      socket.once("close", () => onward.destroy());
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
  }

  /** @param credentials `USER:PASSWORD` */
  static async start(to: URL, credentials: string): Promise<HttpProxyBox> {
    const box = new HttpProxyBox(to, credentials);
    await once(box.#server.listen(0, "127.0.0.1"), "listening");
    return box;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.close();
  }
}
