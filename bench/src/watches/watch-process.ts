import { setTimeout as sleep } from "node:timers/promises";
import { answerQuestions } from "../asked-process.ts";
import { requestBytes } from "../load/endpoint.ts";
import { LoadConnection } from "../load/load-connection.ts";
import { inTurns } from "../measure/in-turns.ts";
import type { WatchAnswer, WatchQuestion } from "./watchers.ts";

/* Holds watches for its parent. */

/** How many watches are being opened at once. */
const OPENING = 32;
/** How long an event may take to all watches, in milliseconds. */
const EVENT_MS = 20_000;
/** How long a watch may take to be answered, in milliseconds. */
const HEAD_MS = 30_000;

const held = new Set<LoadConnection>();
let reached = new Set<LoadConnection>();
let lastAtMs = 0;
let failures = 0;
let firstFailure: string | undefined;

function fail(sentence: string): void {
  failures += 1;
  firstFailure ??= sentence;
}

async function openOne(question: WatchQuestion & { do: "open" }, request: Buffer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const connection = await LoadConnection.open(question.endpoint, {
    onHead: (isGood, statusLine) => resolve(isGood ? undefined : statusLine),
    onBody: () => {
      if (!held.has(connection) || reached.has(connection)) return;
      reached.add(connection);
      lastAtMs = performance.timeOrigin + performance.now();
    },
    onAnswer: (_isGood, statusLine) => lose(`a watch ended: ${statusLine}`),
    onLost: (reason) => lose(reason),
  });
  const lose = (reason: string): void => {
    resolve(reason);
    if (held.delete(connection)) fail(reason);
  };
  connection.socket.write(request);
  const tooLate = AbortSignal.timeout(HEAD_MS);
  tooLate.addEventListener("abort", () => resolve(`no answer within ${HEAD_MS} ms`));
  const refusal = await promise;
  if (refusal === undefined) return void held.add(connection);
  connection.close();
  fail(refusal);
}

async function openAll(question: WatchQuestion & { do: "open" }): Promise<void> {
  const request = requestBytes(question.endpoint, "GET", question.target);
  await inTurns(question.count, OPENING, () => openOne(question, request).catch((error: Error) => fail(error.message)));
}

async function awaitEvent(): Promise<void> {
  reached = new Set();
  const untilMs = performance.now() + EVENT_MS;
  while (reached.size < held.size && performance.now() < untilMs) await sleep(5);
  if (reached.size < held.size) lastAtMs = performance.timeOrigin + performance.now();
  for (let i = reached.size; i < held.size; i++) fail(`an event did not come within ${EVENT_MS} ms`);
}

function closeAll(): void {
  for (const connection of held) connection.close();
  held.clear();
}

answerQuestions(async (question: WatchQuestion): Promise<WatchAnswer> => {
  if (question.do === "open") await openAll(question);
  if (question.do === "event") await awaitEvent();
  if (question.do === "close") closeAll();
  const first = firstFailure === undefined ? {} : { firstFailure };
  return { held: held.size, lastAtMs, failures, ...first };
});
