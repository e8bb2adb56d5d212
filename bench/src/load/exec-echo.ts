import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { type RawData, WebSocket } from "ws";
import { dial } from "./load-connection.ts";
import type { ExecEchoJob, LoadResult } from "./load-job.ts";
import { measurePhases, type PhaseListener } from "./phases.ts";
import { Tally } from "./tally.ts";

/** The first byte of each message names its stream (v5.channel.k8s.io). */
const STDIN = 0;
const STDOUT = 1;
const RESIZE = 4;
const KEY = Buffer.from([STDIN, "x".charCodeAt(0)]);
const SIZE = Buffer.concat([Buffer.from([RESIZE]), Buffer.from(JSON.stringify({ Width: 80, Height: 24 }))]);
/** How long an echo may take, in milliseconds. */
const ECHO_MS = 5_000;

/**
 * Types into an exec with a terminal: a byte, its echo, a pause, the next byte. The command must say "ready" and then
 * give back each byte as it comes.
 *
 * @throws Error if the exec cannot be had
 */
export async function runExecEcho(job: ExecEchoJob, listener: PhaseListener): Promise<LoadResult> {
  const tally = new Tally();
  const socket = await openExec(job);
  const typing = new AbortController();
  try {
    const typed = type(socket, job.pauseMs, tally, typing.signal);
    await measurePhases(job, tally, listener);
    typing.abort();
    await typed;
    return tally.result();
  } finally {
    socket.terminate();
  }
}

async function openExec({ endpoint, target }: ExecEchoJob): Promise<WebSocket> {
  const carrier = await dial(endpoint);
  // The carrier has its TLS already: for ws it is a plain connection.
  const url = `ws://${endpoint.host}:${endpoint.port}${target}`;
  const { headers } = endpoint;
  const socket = new WebSocket(url, "v5.channel.k8s.io", { headers, createConnection: () => carrier });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let said = "";
  const onMessage = (message: RawData): void => {
    said += Buffer.from(message as Buffer).toString("latin1");
    if (said.includes("ready")) resolve();
  };
  socket.on("message", onMessage).on("error", reject);
  socket.on("close", (_code, reason) => reject(new Error(`the exec ended: ${reason} ${said}`)));
  socket.once("open", () => socket.send(SIZE));
  await promise.finally(() => socket.off("message", onMessage).off("error", reject));
  return socket.on("error", () => {}); // "close" follows
}

async function type(socket: WebSocket, pauseMs: number, tally: Tally, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const echo = once(socket, "message", { signal: AbortSignal.timeout(ECHO_MS) });
    const sentMs = performance.now();
    socket.send(KEY);
    const [message] = await echo.catch(() => []);
    if (message === undefined || socket.readyState !== WebSocket.OPEN) return tally.failed("an echo did not come");
    if (message[0] === STDOUT) tally.answered(performance.now() - sentMs);
    else tally.failed(`a message of stream ${message[0]} came instead of an echo`);
    await sleep(pauseMs);
  }
}
