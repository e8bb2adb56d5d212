import type { ServerHttp2Session } from "node:http2";

/** How long a connection may take until its first call, in milliseconds. Our peers dial because they have one. */
const FIRST_CALL_MS = 10_000;
/** How long a connection may be without a call after that, in milliseconds. gRPC clients dial again by themselves. */
const IDLE_MS = 60_000;
/** How long a peer may take to close what we have closed, in milliseconds. */
const CLOSE_MS = 1_000;

/** Limits, for tests. */
export interface IdleSessionsOptions {
  firstCallMs?: number;
  idleMs?: number;
}

/**
 * Ends the HTTP/2 connections that nobody uses. node gives a peer all the time of the world for its preface and for
 * its first call, and each connection costs memory before anybody has said who is there.
 */
export class IdleSessions {
  readonly #firstCallMs: number;
  readonly #idleMs: number;

  constructor({ firstCallMs = FIRST_CALL_MS, idleMs = IDLE_MS }: IdleSessionsOptions = {}) {
    this.#firstCallMs = firstCallMs;
    this.#idleMs = idleMs;
  }

  /** Takes in a connection that was just made. */
  add(session: ServerHttp2Session): void {
    let calls = 0;
    let timer = setTimeout(end, this.#firstCallMs, session);
    session.on("stream", (stream) => {
      calls++;
      clearTimeout(timer);
      stream.once("close", () => {
        if (--calls === 0 && !session.destroyed) timer = setTimeout(end, this.#idleMs, session);
      });
    });
    session.once("close", () => clearTimeout(timer));
  }
}

/** GOAWAY first: a call that is on its way is then made anew elsewhere. */
function end(session: ServerHttp2Session): void {
  session.close();
  setTimeout(() => session.destroy(), CLOSE_MS).unref();
}
