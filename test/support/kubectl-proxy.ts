import { once } from "node:events";
import { type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import { buffer } from "node:stream/consumers";
import type { Kubectl } from "./kubectl.ts";
import type { RunningProgram } from "./running-program.ts";

export interface Answer {
  readonly statusCode: number | undefined;
  /** As they came: names and values in turn, repeats kept. */
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/**
 * `kubectl proxy` in front of what is under test. It adds the kubeconfig's credentials and changes little else, and
 * so lets a test speak HTTP for itself.
 */
export class KubectlProxy {
  readonly port: number;
  private readonly program: RunningProgram;

  private constructor(port: number, program: RunningProgram) {
    this.port = port;
    this.program = program;
  }

  static async start(kubectl: Kubectl, ...flags: string[]): Promise<KubectlProxy> {
    const program = kubectl.start(["proxy", "--port=0", ...flags]);
    const [, port] = await program.waitForOutput(/Starting to serve on 127\.0\.0\.1:(\d+)/);
    return new KubectlProxy(Number(port), program);
  }

  /** Resolves with the head; the body is the caller's to read. */
  async open(path: string, headers: OutgoingHttpHeaders = {}): Promise<IncomingMessage> {
    const outgoing = request({ port: this.port, path, headers, agent: false }).end();
    const [response] = await once(outgoing, "response");
    return response;
  }

  async get(path: string, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
    const response = await this.open(path, headers);
    const { statusCode, rawHeaders } = response;
    return { statusCode, rawHeaders, headers: response.headers, body: await buffer(response) };
  }

  stop(): Promise<void> {
    return this.program.stop();
  }
}
