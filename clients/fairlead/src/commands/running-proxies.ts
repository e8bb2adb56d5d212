import { existsSync, readFileSync } from "node:fs";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { ErrorCode, FairleadError, type GetClientProxyResponse, Hop } from "@fairlead/protocol";
import { print, printJson, table, tell } from "../output.ts";
import { runningProxy } from "../proxy/control/control-client.ts";
import { controlSockets } from "../proxy/control/control-socket.ts";
import type { RelayOptions } from "./global-options.ts";

/** How long after it was told to a proxy may take to end, in milliseconds. */
const END_MS = 5_000;
const LOOK_MS = 50;

/** `fairlead proxy --status`: what runs, of all relays. */
export async function showStatus({ output }: RelayOptions): Promise<void> {
  const running = await all();
  if (output === "json") return printJson(running.map(({ said }) => toJson(said)));
  if (running.length === 0) return tell("No proxy runs.");
  const rows = running.flatMap(({ said: { relay, identity, pid, clusters } }) =>
    clusters.map(({ name, port, connections }) => [
      ...[name, `https://127.0.0.1:${port}`, String(connections), relay, identity, String(pid)],
    ]),
  );
  print(table(["CLUSTER", "SERVER", "CONNECTIONS", "RELAY", "AS", "PID"], rows));
}

/** `fairlead proxy --stop`: ends what runs, and waits for it. */
export async function stopProxies({ output }: RelayOptions): Promise<void> {
  const running = await all();
  // One that is gone before its answer is out has done what it was asked.
  for (const { client } of running) await client.stopClientProxy({}).catch(() => {});
  const deadline = Date.now() + END_MS;
  for (let left = running; left.length > 0; left = await all()) {
    if (Date.now() > deadline) throw notEnded(left.map(({ said }) => said.pid));
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  if (output === "json") return printJson({ stopped: running.map(({ said }) => said.pid) });
  tell(
    running.length === 0
      ? "No proxy runs."
      : `Stopped: ${running.map(({ said }) => `${said.relay} (${said.pid})`).join(", ")}.`,
  );
}

/** `fairlead proxy --logs`: what the proxies in the background wrote. */
export async function showLogs(): Promise<void> {
  const files = new Set(
    (await all()).map(({ said }) => said.logFile).filter((file) => file !== "" && existsSync(file)),
  );
  if (files.size === 0) return tell("No proxy runs in the background.");
  for (const file of files) {
    if (files.size > 1) tell(`${file}:`);
    print(readFileSync(file, "utf8").trimEnd());
  }
}

function notEnded(pids: number[]): FairleadError {
  const sentence = `it was told to end and did not: process ${pids.join(", ")}`;
  return new FairleadError(ErrorCode.TIMED_OUT, Hop.CLIENT_PROXY, sentence);
}

async function all() {
  const found = [];
  for (const path of controlSockets()) {
    const client = await runningProxy(path);
    const said = await client?.getClientProxy({}).catch(() => undefined); // it has just ended
    if (client && said) found.push({ client, said });
  }
  return found;
}

function toJson({ version, pid, relay, identity, startTime, logFile, clusters }: GetClientProxyResponse): object {
  const started = startTime ? timestampDate(startTime).toISOString() : "";
  const served = clusters.map(({ name, port, connections }) => ({
    name,
    server: `https://127.0.0.1:${port}`,
    connections,
  }));
  return { version, pid, relay, identity, started, ...(logFile !== "" && { logFile }), clusters: served };
}
