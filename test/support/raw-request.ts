import { readFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { KubeConfig } from "@kubernetes/client-node";

/** An answer as it came. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/**
 * A request with a kubeconfig's address and credential, and headers as they are given: for what no kubectl sends.
 *
 * @param headers names and values in turn; they may repeat
 */
export async function rawRequest(
  kubeconfigFile: string,
  path: string,
  headers: readonly string[] = [],
  method = "GET",
): Promise<RawAnswer> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromString(await readFile(kubeconfigFile, "utf8"));
  const { server = "", caData = "", caFile } = kubeconfig.getCurrentCluster() ?? {};
  const { hostname, host, port } = new URL(server);
  const own = ["Host", host, "Authorization", `Bearer ${kubeconfig.getCurrentUser()?.token}`, "Connection", "close"];
  const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>();
  const sent = request({
    host: hostname,
    port,
    path,
    method,
    ca: caFile ? await readFile(caFile) : Buffer.from(caData, "base64"),
    agent: false,
    headers: [...own.filter((_, i) => !replaced(own, i, headers)), ...headers],
  });
  sent.on("error", reject);
  sent.on("upgrade", (answer, socket) => {
    socket.destroy();
    resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: "" });
  });
  sent.on("response", (answer) => {
    text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }), reject);
  });
  sent.end();
  return promise;
}

/** `Connection` is ours unless the test gives its own. */
function replaced(own: readonly string[], i: number, headers: readonly string[]): boolean {
  const name = own[i - (i % 2)];
  return name === "Connection" && headers.some((other, j) => j % 2 === 0 && other.toLowerCase() === "connection");
}
