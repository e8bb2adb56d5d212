import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import type { OutgoingHttpHeaders } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer, request } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";
import { CertificateAuthority } from "@fairlead/certificates";

/** What both protocols' answers have in common. */
interface Answer {
  writeHead(status: number, headers: OutgoingHttpHeaders): unknown;
  end(text: string): unknown;
}

/** A page as a hotel or a company shows it in the place of what was asked for; with what no terminal should see. */
const PAGE =
  "<!doctype html><html><head><title>Sign in to \u001b[31mHotel\u0007</title></head><body>Welcome</body></html>";

/** Something on the way that ends TLS, by a certificate of an authority that its users were told to trust. */
export class TlsBox {
  readonly #server: Server;
  /** The file with its authority. */
  readonly ca: string;

  private constructor(server: Server, ca: string) {
    this.#server = server;
    this.ca = ca;
  }

  /** One that passes requests on, and speaks HTTP/1.1 only. @param to the relay @param relayCa the relay's authority */
  static async passingHttp1(folder: string, to: string, relayCa: string): Promise<TlsBox> {
    const ca = await readFile(relayCa);
    return TlsBox.#start(folder, "http1", (tls) =>
      createServer(tls, (asked, answer) => {
        const { method, url, headers } = asked;
        const onward = request(new URL(url ?? "/", to), { method, headers, ca }, (response) => {
          answer.writeHead(response.statusCode ?? 502, response.headers);
          response.pipe(answer);
        });
        onward.on("error", () => answer.destroy());
        asked.pipe(onward);
      }),
    );
  }

  /** One that answers all with a page of its own. @param protocol which it speaks */
  static portal(folder: string, protocol: "http1" | "http2"): Promise<TlsBox> {
    const answer = (_asked: unknown, response: Answer): void => {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8", server: "portal" });
      response.end(PAGE);
    };
    return TlsBox.#start(folder, `portal-${protocol}`, (tls) =>
      protocol === "http2" ? createSecureServer(tls, answer) : createServer(tls, answer),
    );
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.close();
  }

  static async #start(
    folder: string,
    name: string,
    make: (tls: { cert: string; key: string }) => Server,
  ): Promise<TlsBox> {
    const authority = await CertificateAuthority.create(`authority of ${name}`, 1);
    const ca = join(folder, `${name}-ca.crt`);
    await writeFile(ca, authority.pem);
    const server = make(await authority.issue({ commonName: name, hosts: ["127.0.0.1"], days: 1 }));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new TlsBox(server, ca);
  }
}
