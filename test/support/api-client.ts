import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";
import type { KeyPair } from "./certificate-authority.ts";

/** A Kubernetes object as far as tests look into it. */
export interface KubernetesObject {
  readonly metadata?: { readonly name?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

class ApiError extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, method: string, path: string, body: string) {
    super(`${method} ${path}: ${statusCode} ${body}`);
    this.statusCode = statusCode;
  }
}

export interface ApiClientOptions {
  readonly server: string;
  readonly caFile: string;
  readonly client: KeyPair;
}

/** Talks to the apiserver directly, never through what is under test. */
export class ApiClient {
  private readonly server: string;
  private readonly agent: Agent;

  private constructor(server: string, agent: Agent) {
    this.server = server;
    this.agent = agent;
  }

  static async create({ server, caFile, client }: ApiClientOptions): Promise<ApiClient> {
    const [ca, cert, key] = await Promise.all([caFile, client.certFile, client.keyFile].map((file) => readFile(file)));
    return new ApiClient(server, new Agent({ ca, cert, key, keepAlive: true, maxSockets: 32 }));
  }

  get(path: string): Promise<KubernetesObject> {
    return this.send("GET", path);
  }

  create(path: string, object: KubernetesObject): Promise<KubernetesObject> {
    return this.send("POST", path, object);
  }

  /** A JSON merge patch; `path` may name a subresource. */
  patch(path: string, change: KubernetesObject): Promise<KubernetesObject> {
    return this.send("PATCH", path, change, "application/merge-patch+json");
  }

  delete(path: string): Promise<KubernetesObject> {
    return this.send("DELETE", path);
  }

  close(): void {
    this.agent.destroy();
  }

  private async send(
    method: string,
    path: string,
    object?: KubernetesObject,
    contentType = "application/json",
  ): Promise<KubernetesObject> {
    const { promise, resolve, reject } = Promise.withResolvers<KubernetesObject>();
    const options = { method, agent: this.agent, headers: { "content-type": contentType } };
    const outgoing = request(new URL(path, this.server), options, (response) => {
      const statusCode = response.statusCode ?? 0;
      text(response).then((body) => {
        if (statusCode >= 300) {
          reject(new ApiError(statusCode, method, path, body));
        } else {
          resolve(body.startsWith("{") ? JSON.parse(body) : { body });
        }
      }, reject);
    });
    outgoing.on("error", reject);
    outgoing.end(object && JSON.stringify(object));
    return promise;
  }
}
