import { readFile } from "node:fs/promises";
import { Agent, fetch } from "undici";
import { parse } from "yaml";

/** How long each hop took, in milliseconds, in the order of the request. */
export type HopMilliseconds = Record<string, number>;

/**
 * Sends a request through the tunnel as kubectl would, with its kubeconfig, and tells how long each hop took.
 *
 * @param kubeconfigFile the client proxy's kubeconfig
 * @throws Error with the cluster's or the tunnel's sentence if the answer is not 200
 */
export async function firstRequest(kubeconfigFile: string): Promise<HopMilliseconds> {
  const { clusters, users } = parse(await readFile(kubeconfigFile, "utf8"));
  const { server, "certificate-authority-data": caData } = clusters[0].cluster;
  const dispatcher = new Agent({ connect: { ca: Buffer.from(caData, "base64") } });
  const headers = { Authorization: `Bearer ${users[0].user.token}`, "Fairlead-Timings": "1" };
  let answer = await fetch(`${server}/api/v1/namespaces`, { headers, dispatcher });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`the first request failed: ${JSON.parse(text).message ?? text}`);
  answer = await fetch(`${server}/api/v1/namespaces`, { headers, dispatcher }); // connections are open now
  await answer.text();
  await dispatcher.close();
  return hopMilliseconds(answer.headers.get("server-timing") ?? "");
}

/** Each hop's figure has in it those of the hops behind it: the difference is its own, with the way to the next. */
function hopMilliseconds(serverTiming: string): HopMilliseconds {
  const entries = [...serverTiming.matchAll(/([\w-]+);dur=([\d.]+)/g)];
  const own = entries.map(([, hop = "", duration], i): [string, number] => {
    const behind = Number(entries[i + 1]?.[2] ?? 0);
    return [hop.replaceAll("-", " "), Math.round((Number(duration) - behind) * 100) / 100];
  });
  return Object.fromEntries(own);
}
