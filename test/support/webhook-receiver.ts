import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { eventually } from "./eventually.ts";

/** What a webhook was told, in one request. */
export interface Told {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A web server that is told changes. */
export class WebhookReceiver {
  /** What the next requests are answered with; 204 when none is left. */
  readonly answers: number[] = [];
  readonly #told: Told[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(async ({ headers }, response) => {
      this.#told.push({ headers, body: await text(response.req) });
      response.writeHead(this.answers.shift() ?? 204).end();
    });
  }

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    await once(receiver.#server.listen(0, "127.0.0.1"), "listening");
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** The next request whose body matches; those before it are forgotten. */
  async next(body: RegExp): Promise<Told> {
    const find = async () => {
      const at = this.#told.findIndex((told) => body.test(told.body));
      return at === -1 ? undefined : this.#told.splice(0, at + 1).at(-1);
    };
    return eventually(find, { what: `the webhook to be told ${body}` });
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
