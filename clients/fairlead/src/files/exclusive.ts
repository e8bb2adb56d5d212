import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";

/** How often a lock that another process holds is asked for, in milliseconds. */
const ASK_MS = 50;
/** SQLite's code for a database that another connection has locked (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;

/**
 * Does something while no other process of this user does something by the same file. The lock is one of the operating
 * system, taken by SQLite, since node has none of its own: whoever holds it and dies gives it back.
 *
 * @param file the lock, which is made if it is not there; nothing is written in it
 * @param waitMs for how long another may hold it, in milliseconds
 * @param what another is doing then, for the error's sentence
 * @throws FairleadError ALREADY_EXISTS if another holds it for longer
 */
export async function exclusively<T>(file: string, waitMs: number, what: string, work: () => Promise<T>): Promise<T> {
  const before = last.get(file);
  const mine = locked(file, waitMs, what, work, before);
  const over = mine.then(done, done);
  last.set(file, over);
  try {
    return await mine;
  } finally {
    if (last.get(file) === over) last.delete(file);
  }
}

/** Who of this process has each lock last, or waits for it: they take turns without asking the system again and again. */
const last = new Map<string, Promise<void>>();
const done = (): void => {};

async function locked<T>(
  file: string,
  waitMs: number,
  what: string,
  work: () => Promise<T>,
  before: Promise<void> | undefined,
): Promise<T> {
  await before;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  closeSync(openSync(file, "a", 0o600));
  const lock = await taken(file, Date.now() + waitMs, what);
  try {
    return await work();
  } finally {
    lock.close();
  }
}

async function taken(file: string, deadlineMs: number, what: string): Promise<DatabaseSync> {
  for (;;) {
    const database = new DatabaseSync(file, { timeout: 0 });
    try {
      database.exec("BEGIN EXCLUSIVE");
      return database;
    } catch (cause) {
      database.close();
      if (Object(cause).errcode !== SQLITE_BUSY) throw cause;
      if (Date.now() > deadlineMs) {
        const sentence = `another fairlead of yours ${what}, and does not come to an end; try again`;
        throw new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, sentence, { cause });
      }
      await delay(ASK_MS);
    }
  }
}
