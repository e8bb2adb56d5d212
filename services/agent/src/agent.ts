import { type FairleadError, GrpcConnection, type PeerAddress } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { Backoff } from "./backoff.ts";
import { Session } from "./session.ts";

/** A peer of the agent's. */
export interface Peer {
  /** What people call its address. */
  name: string;
  /** Read anew for each connection, since certificates change. */
  address(): PeerAddress;
}

/** What an agent needs. */
export interface AgentOptions {
  relay: Peer;
  identityProxy: Peer;
  /** Read anew for each connection. */
  agentToken(): string;
  version: string;
  log: Logger;
}

/**
 * Keeps one session to the relay for as long as the process runs: dials, and dials again with backoff and jitter
 * when it is lost. A relay that drains is attached to anew at once, while the exchanges of the old session end.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #backoff = new Backoff();
  readonly #identityProxy: GrpcConnection;
  readonly #sessions = new Map<Session, GrpcConnection>();
  #timer: NodeJS.Timeout | undefined;
  #current: Session | undefined;
  #stopped = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#identityProxy = new GrpcConnection(() => options.identityProxy.address());
  }

  /** Dials for the first time. */
  start(): void {
    this.#dial();
  }

  get counts(): { sessions: number; lanes: number; exchanges: number } {
    const each = [...this.#sessions.keys()].map((session) => session.counts);
    const sum = (pick: "lanes" | "exchanges"): number => each.reduce((total, counts) => total + counts[pick], 0);
    return { sessions: each.length, lanes: sum("lanes"), exchanges: sum("exchanges") };
  }

  /** Why the agent cannot serve; undefined if it can. */
  get problem(): string | undefined {
    return this.#current ? this.#current.problem : "not attached to the relay";
  }

  /** Drains all sessions and dials no more. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.all([...this.#sessions.keys()].map((session) => session.drain(graceMs)));
    this.#identityProxy.close();
  }

  #dial(): void {
    const { relay, version, log } = this.#options;
    const agentToken = this.#options.agentToken();
    const client = new GrpcConnection(() => relay.address());
    const session = new Session({
      relay: client,
      relayName: relay.name,
      identityProxy: this.#identityProxy,
      agentToken,
      version,
      log,
      registered: () => {
        this.#backoff.reset();
        log.info({ relay: relay.name }, "attached");
      },
      draining: () => {
        log.info("the relay is stopping; attaching anew");
        if (this.#current === session) this.#redial();
      },
      closed: (error) => this.#onClosed(session, error),
    });
    this.#current = session;
    this.#sessions.set(session, client);
  }

  #onClosed(session: Session, error: FairleadError | undefined): void {
    this.#sessions.get(session)?.close();
    this.#sessions.delete(session);
    if (this.#stopped || this.#current !== session) return;
    const waitMs = Math.round(this.#redial());
    this.#options.log.warn({ reason: error?.message ?? "ended by the relay", waitMs }, "not attached to the relay");
  }

  #redial(): number {
    this.#current = undefined;
    const waitMs = this.#backoff.next();
    this.#timer = setTimeout(() => this.#dialAgain(), waitMs);
    return waitMs;
  }

  /** A token or a certificate that cannot be read now, while it rotates, may be readable at the next attempt. */
  #dialAgain(): void {
    try {
      this.#dial();
    } catch (error) {
      const waitMs = Math.round(this.#redial());
      this.#options.log.error({ err: error, waitMs }, "cannot dial the relay");
    }
  }
}
