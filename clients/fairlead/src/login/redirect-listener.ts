import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";

const PATH = "/callback";

/** What a browser is told at the end. Nothing of a request gets into it. */
const page = (title: string, text: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>Fairlead: ${title}</title><h1>${title}</h1><p>${text}</p></html>\n`;
const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'",
  "cache-control": "no-store",
  connection: "close",
};

/**
 * Waits on loopback for a browser that comes back from the issuer (RFC 8252, 7.3), once. What does not have this login's
 * state is turned away and ends nothing: any page of the browser may try.
 */
export class RedirectListener {
  readonly #server: Server;
  readonly #state: string;
  readonly #come = Promise.withResolvers<{ url: URL; response: ServerResponse }>();
  #port = 0;
  /** The answer to the browser that came first. */
  #answering: ServerResponse | undefined;

  /** @param state of this login, a secret that only the issuer and the browser are told */
  constructor(state: string) {
    this.#state = state;
    this.#server = createServer((request, response) => this.#onRequest(request, response));
  }

  /** @param port 0 for any. @returns the redirect URI. @throws FairleadError ALREADY_EXISTS if the port is taken */
  async listen(port: number): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject).listen({ host: "127.0.0.1", port }, resolve);
    try {
      await promise;
    } catch (cause) {
      const sentence = `port ${port} of this machine is taken; give another --redirect-port, which the issuer must know too`;
      throw new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, sentence, { cause });
    }
    const address = this.#server.address();
    this.#port = typeof address === "object" && address ? address.port : port;
    return this.#origin + PATH;
  }

  /**
   * Waits for the browser, and tells it what came of it.
   *
   * @param finish does the rest with the address that the browser was sent to
   * @throws what `finish` throws, or the signal's reason
   */
  async finished<T>(signal: AbortSignal, finish: (url: URL) => Promise<T>): Promise<T> {
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    try {
      const { url, response } = await Promise.race([this.#come.promise, aborted.promise]);
      try {
        const result = await finish(url);
        response.writeHead(200, HEADERS).end(page("You are logged in", "You may close this window."));
        return result;
      } catch (error) {
        response.writeHead(400, HEADERS).end(page("The login failed", "The terminal says why."));
        throw error;
      }
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Listens no more; an answer that is under way still goes out. Browsers open connections that they send nothing on. */
  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
    if (this.#answering === undefined || this.#answering.writableFinished) return this.#server.closeAllConnections();
    this.#answering.once("close", () => this.#server.closeAllConnections());
  }

  get #origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const url = URL.parse(request.url ?? "", this.#origin);
    const isOurs = request.headers.host === `127.0.0.1:${this.#port}` && url?.origin === this.#origin;
    if (!url || !isOurs || request.method !== "GET" || url.pathname !== PATH) {
      return void response.writeHead(404, HEADERS).end(page("Nothing is here", "This is a login of Fairlead's."));
    }
    if (url.searchParams.getAll("state").join() !== this.#state) {
      const text = "It was begun by another program, or is over. See the terminal.";
      return void response.writeHead(400, HEADERS).end(page("This is not the login that is waited for", text));
    }
    if (this.#answering) {
      return void response.writeHead(409, HEADERS).end(page("This login was used", "The terminal says how it went."));
    }
    this.#answering = response;
    this.#come.resolve({ url, response });
  }
}
