import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { stateFolder } from "../files/folders.ts";
import type { ClusterAccess } from "../kubeconfig/cluster-access.ts";
import { ownCommand } from "../own-command.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { runningProxy } from "./control/control-client.ts";
import { controlSocket } from "./control/control-socket.ts";
import { identityOf, someServed } from "./control/own-or-joined.ts";
import type { Unserved } from "./proxy-set.ts";

/** How long it may take to be ready, and how often it is looked, in milliseconds. */
const [READY_MS, LOOK_MS] = [20_000, 50];
/** From which size on a log is put aside when a proxy starts, in bytes; one older one is kept. */
const MAX_LOG_BYTES = 1024 * 1024;
/** How much of the log is shown if it does not get ready, in lines. */
const SHOWN_LINES = 5;

/** What the command was given, as far as the process in the background needs it. */
export interface BackgroundOptions {
  tokenFile?: string;
  port?: number;
  dpopKey?: string;
}

/**
 * Has clusters served by a process that stays when this one ends: the one that runs already, or a new one.
 *
 * @returns those that cannot be served, with why
 * @throws FairleadError with the end of its log if it does not get ready
 */
export async function startInBackground(
  relay: RelayConnection,
  accesses: readonly ClusterAccess[],
  options: BackgroundOptions,
): Promise<readonly Unserved[]> {
  if (options.tokenFile === "-")
    throw failed("standard input ends with this command; give the token by a file, or log in");
  const socket = controlSocket(relay.url.origin, identityOf(relay, options.dpopKey && resolve(options.dpopKey)));
  const clusters = accesses.map(({ cluster, identity: { port } }) => ({ name: cluster, port }));
  const running = await runningProxy(socket);
  const add = async (proxy: NonNullable<typeof running>) =>
    someServed((await proxy.addClusters({ clusters })).unserved, clusters.length);
  if (running) return add(running);
  const log = join(stateFolder(), "logs", `proxy-${relay.url.host.replace(":", "-")}.log`);
  const child = startDetached(log);
  let ended = false;
  child.once("exit", () => {
    ended = true;
  });
  child.unref();
  for (const deadline = Date.now() + READY_MS; Date.now() < deadline && !ended; await delay(LOOK_MS)) {
    const proxy = await runningProxy(socket);
    if (proxy === undefined) continue;
    return add(proxy); // another's, perhaps, that was a moment faster
  }
  const joined = await runningProxy(socket); // our own may have joined another between two looks, and ended
  if (joined) return add(joined);
  const shown = readFileSync(log, "utf8").trimEnd().split("\n").slice(-SHOWN_LINES).join("\n");
  throw failed(`the proxy did not get ready; its log ${log} ends with:\n${shown}`);
}

/** The same command without --background. Its log is its standard error. */
function startDetached(log: string) {
  mkdirSync(dirname(log), { recursive: true, mode: 0o700 });
  if ((statSync(log, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) renameSync(log, `${log}.1`);
  const file = openSync(log, "a", 0o600);
  const [command, ...args] = ownCommand(process.argv.slice(2).filter((word) => word !== "--background"));
  const env = { ...process.env, FAIRLEAD_LOG_FILE: log };
  const child = spawn(command, args, { detached: true, stdio: ["ignore", file, file], windowsHide: true, env });
  closeSync(file);
  return child;
}

function failed(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.CLIENT_PROXY, sentence);
}
