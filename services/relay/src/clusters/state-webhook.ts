import { createHmac, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterState } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { ClusterStates } from "./cluster-states.ts";

/** Whom to tell, and how patiently. */
export interface StateWebhookOptions {
  url: string;
  /** What signatures are made with. */
  secret: Buffer;
  log: Logger;
  /** How long a state has to last to be told, in milliseconds: agents attach anew, relays are started anew. */
  settleMs?: number;
  /** The first wait after a failure, in milliseconds; each further one is twice as long. */
  firstWaitMs?: number;
}

const SETTLE_MS = 5_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** After so many attempts, 8 minutes, a state is not told any more. */
const ATTEMPTS = 12;
const TIMEOUT_MS = 10_000;

/** What waits to be told of one cluster. */
interface Event {
  id: string;
  body: string;
}

/**
 * Tells a web server each change of a cluster's state, signed as Standard Webhooks has it (standardwebhooks.com) and
 * repeated until it is taken. What waits is one state a cluster: of one that changes again, the last one is told.
 */
export class StateWebhook {
  readonly #options: Required<StateWebhookOptions>;
  readonly #states: ClusterStates;
  /** The state that was told last, or that was there when the relay was started. */
  readonly #told = new Map<string, ClusterState>();
  readonly #settling = new Map<string, NodeJS.Timeout>();
  readonly #waiting = new Map<string, Event>();
  readonly #stopped = new AbortController();
  readonly #unsubscribe: () => void;
  #sending = false;

  constructor(states: ClusterStates, options: StateWebhookOptions) {
    this.#options = { settleMs: SETTLE_MS, firstWaitMs: FIRST_WAIT_MS, ...options };
    this.#states = states;
    this.#unsubscribe = states.onChange(({ cluster, now, before }) => {
      if (!this.#told.has(cluster)) this.#told.set(cluster, before.state);
      if (now) this.#settle(cluster);
      else this.#forget(cluster);
    });
  }

  stop(): void {
    this.#unsubscribe();
    for (const timer of this.#settling.values()) clearTimeout(timer);
    this.#stopped.abort();
  }

  #settle(cluster: string): void {
    clearTimeout(this.#settling.get(cluster));
    this.#settling.set(
      cluster,
      setTimeout(() => this.#settled(cluster), this.#options.settleMs),
    );
  }

  #forget(cluster: string): void {
    clearTimeout(this.#settling.get(cluster));
    for (const kept of [this.#settling, this.#waiting, this.#told]) kept.delete(cluster);
  }

  #settled(cluster: string): void {
    this.#settling.delete(cluster);
    const { state, reason, sinceMs } = this.#states.of(cluster);
    const before = this.#told.get(cluster) ?? ClusterState.UNSPECIFIED;
    if (state === before) return;
    this.#told.set(cluster, state);
    const data = {
      cluster,
      state: nameOf(state),
      before: nameOf(before),
      reason,
      since: new Date(sinceMs).toISOString(),
    };
    const body = JSON.stringify({ type: "cluster.state", timestamp: new Date().toISOString(), data });
    this.#waiting.set(cluster, { id: randomUUID(), body });
    if (!this.#sending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    for (let [next] = this.#waiting; next; [next] = this.#waiting) {
      const [cluster, event] = next;
      await this.#deliver(cluster, event);
      if (this.#waiting.get(cluster) === event) this.#waiting.delete(cluster);
    }
    this.#sending = false;
  }

  async #deliver(cluster: string, event: Event): Promise<void> {
    for (let attempt = 1; !this.#stopped.signal.aborted; attempt++) {
      const failure = await this.#send(event);
      if (failure === undefined || this.#waiting.get(cluster) !== event) return; // taken, or out of date
      const line = { cluster, event: event.id, attempt, reason: failure };
      if (attempt === ATTEMPTS)
        return this.#options.log.error(line, "the webhook does not take a state; it is not told");
      this.#options.log.warn(line, "the webhook does not take a state");
      const waitMs = Math.min(LONGEST_WAIT_MS, this.#options.firstWaitMs * 2 ** (attempt - 1));
      await sleep(waitMs, undefined, { signal: this.#stopped.signal }).catch(() => {}); // stopped
    }
  }

  /** @returns why it was not taken; undefined if it was */
  async #send({ id, body }: Event): Promise<string | undefined> {
    const timestamp = Math.floor(Date.now() / 1_000);
    const signature = createHmac("sha256", this.#options.secret).update(`${id}.${timestamp}.${body}`).digest("base64");
    try {
      const { ok, status } = await fetch(this.#options.url, {
        ...{ method: "POST", body, redirect: "manual" },
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.#stopped.signal]),
        headers: {
          ...{ "content-type": "application/json", "webhook-id": id },
          ...{ "webhook-timestamp": String(timestamp), "webhook-signature": `v1,${signature}` },
        },
      });
      return ok ? undefined : `it answers ${status}`;
    } catch (error) {
      return error instanceof Error ? String(error.cause ?? error.message) : String(error);
    }
  }
}

/** As `fairlead clusters` writes it. */
function nameOf(state: ClusterState): string {
  const name = ClusterState[state].toLowerCase();
  return name[0]?.toUpperCase() + name.slice(1);
}

/**
 * Reads a secret as Standard Webhooks writes it: `whsec_` and base64.
 *
 * @throws Error if it is another, or shorter than 24 bytes; never with a part of it
 */
export function secretOf(text: string): Buffer {
  const [, encoded = ""] = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(text.trim()) ?? [];
  const secret = Buffer.from(encoded, "base64");
  if (secret.length >= 24) return secret;
  throw new Error(
    "webhook.secretFile: `whsec_` and at least 24 bytes in base64 are due, as of `openssl rand -base64 32`",
  );
}
