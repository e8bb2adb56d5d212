import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { selfSigned } from "@fairlead/certificates";
import { type DemoClusterOptions, startDemoCluster } from "./server.ts";

/** Tokens of the fixture: one user who may do everything, one who may only impersonate. */
const fixtureTokens: DemoClusterOptions["tokens"] = {
  "alice-token": { user: "alice", groups: ["devs"], mayImpersonate: false },
  "agent-token": { user: "agent", groups: [], mayImpersonate: true },
};

/** What a test sends. */
export interface FixtureRequest {
  method?: string;
  /** Default "alice-token". */
  token?: string;
  headers?: Record<string, string | string[]>;
  /** An object is sent as JSON. */
  body?: unknown;
}

/** A demo cluster on a free port, for tests. */
export interface ClusterFixture {
  url: string;
  cert: string;
  /** Sends a request and resolves at its first byte; the body is left to the test. */
  open(path: string, request?: FixtureRequest): Promise<IncomingMessage>;
  /** Sends a request and reads its whole JSON answer. */
  ask(path: string, request?: FixtureRequest): Promise<{ code: number; answer: Record<string, unknown> }>;
  close(): Promise<void>;
}

/** Starts a demo cluster with a certificate of its own. */
export async function startFixture(options: Partial<DemoClusterOptions> = {}): Promise<ClusterFixture> {
  const { cert, key } = await selfSigned({ commonName: "demo cluster", hosts: ["127.0.0.1"], days: 1 });
  const cluster = await startDemoCluster({ cert, key, tokens: fixtureTokens, ...options });
  const open: ClusterFixture["open"] = (path, { method = "GET", token = "alice-token", headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const sent = { "content-type": "application/json", ...headers, authorization: `Bearer ${token}` };
      const request = httpsRequest(cluster.url + path, { method, headers: sent, ca: cert, agent: false }, resolve);
      request.once("error", reject);
      // As a string, Node would write it in one piece with the headers and encode both as UTF-8.
      request.end(body === undefined ? undefined : Buffer.from(JSON.stringify(body)));
    });
  const ask: ClusterFixture["ask"] = async (path, request) => {
    const response = await open(path, request);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    return { code: response.statusCode ?? 0, answer: JSON.parse(Buffer.concat(chunks).toString("utf8")) };
  };
  return { url: cluster.url, cert, open, ask, close: cluster.close };
}
