import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import { KubeConfig } from "@kubernetes/client-node";

/** How long the connection is watched once an answer has begun, in milliseconds: what is closed, is closed at once. */
const WATCHED_MS = 300;

/** What came on a connection. */
export interface RawExchange {
  /** All bytes, one character each. */
  readonly answer: string;
  /** Whether the other end has closed it. */
  readonly isClosed: boolean;
}

/**
 * Sends bytes to a kubeconfig's server as they are, and an empty line behind them.
 *
 * @param template `HOST` stands for the server, `AUTH` for its Authorization line, and `TOKEN64` for its token in base64url
 */
export async function rawExchange(kubeconfigFile: string, template: string): Promise<RawExchange> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromString(await readFile(kubeconfigFile, "utf8"));
  const { server = "", caData = "" } = kubeconfig.getCurrentCluster() ?? {};
  const { hostname, host, port } = new URL(server);
  const token = kubeconfig.getCurrentUser()?.token ?? "";
  const head = template
    .replaceAll("AUTH", `Authorization: Bearer ${token}`)
    .replaceAll("TOKEN64", Buffer.from(token).toString("base64url"))
    .replaceAll("HOST", host);
  const socket = connect({ host: hostname, port: Number(port), ca: Buffer.from(caData, "base64") });
  const chunks: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const closed = new Promise<true>((settle) => socket.once("close", () => settle(true)));
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    resolve();
  });
  socket.once("error", reject).once("end", () => resolve());
  socket.write(`${head}\r\n`);
  try {
    await promise;
    const isClosed = await Promise.race([closed, delay(WATCHED_MS, false)]);
    return { answer: Buffer.concat(chunks).toString("latin1"), isClosed };
  } finally {
    socket.destroy();
  }
}
