import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";
import type { Tunnel } from "@fairlead/demo";

/** How many are being made at once. */
const AT_ONCE = 8;

/** The relay, and who may make clusters there. */
interface ClusterKeeper {
  readonly relayUrl: string;
  readonly ca: string;
  /** An administrator's token. */
  readonly token: string;
}

/** Makes clusters at a tunnel's relay, for light agents. @returns their join tokens */
export async function createLightClusters(tunnel: Tunnel, count: number): Promise<string[]> {
  const [ca, token] = await Promise.all([
    readFile(tunnel.file("ca.crt"), "utf8"),
    readFile(tunnel.tokenFile(tunnel.administrator), "utf8"),
  ]);
  const names = Array.from({ length: count }, (_, i) => `light-${i}`);
  return createClusters({ relayUrl: tunnel.relayUrl, ca, token: token.trim() }, names);
}

/**
 * Makes clusters by the relay's RPC, as JSON over HTTP.
 *
 * @returns their join tokens
 * @throws Error with the relay's answer if one cannot be made
 */
async function createClusters(keeper: ClusterKeeper, names: readonly string[]): Promise<string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const left = [...names];
  const tokens: string[] = [];
  const makeInTurn = async (): Promise<void> => {
    for (let name = left.pop(); name !== undefined; name = left.pop()) {
      tokens.push(await createCluster(keeper, name, agent));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, makeInTurn));
    return tokens;
  } finally {
    agent.destroy();
  }
}

async function createCluster({ relayUrl, ca, token }: ClusterKeeper, name: string, agent: Agent): Promise<string> {
  const url = `${relayUrl}/fairlead.cluster.v1alpha1.ClusterService/CreateCluster`;
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const outgoing = request(url, { method: "POST", ca, agent, headers }, (answer) => {
    text(answer).then((body) => {
      if (answer.statusCode === 200) resolve(body);
      else reject(new Error(`the cluster ${name} cannot be made: ${answer.statusCode} ${body}`));
    }, reject);
  });
  outgoing.on("error", reject).end(JSON.stringify({ name }));
  return String(Object(JSON.parse(await promise)).joinToken?.token);
}
