import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";

/** A request as it came to the apiserver. Header values are the text that their bytes are in UTF-8, as Go reads them. */
export interface SeenRequest {
  method: string;
  url: string;
  headers: [name: string, value: string][];
  body: string;
  /** The common name of the client's certificate, if it showed one. */
  certificate: string | undefined;
}

/** A certificate and its key, PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

type Answer = (seen: SeenRequest, response: ServerResponse) => void;

/** An HTTPS server that plays the apiserver, and a folder for kubeconfigs that point at it. */
export class ApiserverFixture {
  readonly folder: string;
  readonly url: string;
  readonly seen: SeenRequest[] = [];
  /** How requests are answered. */
  answer: Answer = (_seen, response) => response.end("{}");
  /** Takes connections that ask for an upgrade; without it, each is refused. */
  upgraded: ((socket: Socket) => void) | undefined;
  readonly #server: Server;
  readonly #certificateAuthority: string;

  private constructor(server: Server, folder: string, certificateAuthority: string) {
    this.#server = server;
    this.folder = folder;
    this.#certificateAuthority = certificateAuthority;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => void this.#onRequest(request, response));
    server.on("upgrade", (request, socket) => {
      this.seen.push(seenRequest(request, ""));
      if (this.upgraded) return this.upgraded(socket as Socket);
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  }

  /** @param certificateAuthority who signed its certificate and those of clients, PEM */
  static async start(tls: KeyPair, certificateAuthority: string): Promise<ApiserverFixture> {
    const client = { ca: certificateAuthority, requestCert: true, rejectUnauthorized: false };
    const server = createServer({ ...tls, ...client, maxHeaderSize: 1024 * 1024 }); // as the apiserver's is
    server.maxHeadersCount = 0;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
    return new ApiserverFixture(server, folder, certificateAuthority);
  }

  /** Writes a kubeconfig whose user has this credential. @returns its path */
  async kubeconfig(user: object, cluster: object = {}): Promise<string> {
    const path = join(this.folder, "kubeconfig");
    await writeFile(path, JSON.stringify(this.#contents(user, cluster)));
    return path;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.on("secureConnection", (socket) => socket.destroy()); // one that was on its way
      this.#server.closeAllConnections();
    });
    await rm(this.folder, { recursive: true });
  }

  #contents(user: object, cluster: object): object {
    const ca = Buffer.from(this.#certificateAuthority).toString("base64");
    const own = { server: this.url, "certificate-authority-data": ca, ...cluster };
    const elsewhere = { server: "https://elsewhere.example:6443" };
    return {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        { name: "own", cluster: own },
        { name: "elsewhere", cluster: elsewhere },
      ],
      users: [{ name: "proxy", user }],
      contexts: [
        { name: "own", context: { cluster: "own", user: "proxy" } },
        { name: "elsewhere", context: { cluster: "elsewhere", user: "proxy" } },
      ],
      "current-context": "own",
    };
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const seen = seenRequest(request, Buffer.concat(chunks).toString());
    this.seen.push(seen);
    this.answer(seen, response);
  }
}

function seenRequest({ method = "", url = "", rawHeaders, socket }: IncomingMessage, body: string): SeenRequest {
  const headers = rawHeaders.flatMap((name, i): SeenRequest["headers"] =>
    i % 2 === 0 ? [[name, Buffer.from(rawHeaders[i + 1] ?? "", "latin1").toString()]] : [],
  );
  const certificate = (socket as TLSSocket).getPeerCertificate?.()?.subject?.CN;
  return { method, url, headers, body, certificate: Array.isArray(certificate) ? certificate[0] : certificate };
}

/** All values of a header of a request, by its name in lower case. */
export function valuesOf(seen: SeenRequest | undefined, name: string): string[] {
  return (seen?.headers ?? []).filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}
