import { ErrorCode, type FairleadError, GrpcConnection, type PeerAddress } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { Backoff } from "./backoff.ts";
import { ClusterHealth } from "./cluster-health.ts";
import type { Enrolment } from "./enrolment/enrolment.ts";
import { Session } from "./session.ts";

const NOT_ATTACHED = "not attached to the relay";

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
  enrolment: Pick<Enrolment, "prove" | "refused">;
  /** The uid of the cluster's namespace kube-system; empty if it is not known. */
  clusterUid: string;
  /** How many nodes the cluster has; 0 if it cannot be known. */
  nodeCount(): Promise<number>;
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
  readonly #health: ClusterHealth;
  readonly #sessions = new Map<Session, GrpcConnection>();
  /** Sessions whose lanes lead to an identity proxy that is stopping: they are drained when there is another. */
  readonly #outdated = new Set<Session>();
  #timer: NodeJS.Timeout | undefined;
  #current: Session | undefined;
  /** Why there is no session. */
  #problem = NOT_ATTACHED;
  #stopped = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#identityProxy = new GrpcConnection(
      () => options.identityProxy.address(),
      () => this.#leaveIdentityProxy(),
    );
    this.#health = new ClusterHealth({
      identityProxy: this.#identityProxy,
      nodeCount: options.nodeCount,
      changed: (condition) => {
        for (const session of this.#sessions.keys()) session.report(condition);
      },
      log: options.log,
    });
  }

  /** Dials for the first time. */
  start(): void {
    this.#health.start();
    this.#dial();
  }

  get counts(): { sessions: number; lanes: number; exchanges: number } {
    const each = [...this.#sessions.keys()].map((session) => session.counts);
    const sum = (pick: "lanes" | "exchanges"): number => each.reduce((total, counts) => total + counts[pick], 0);
    return { sessions: each.length, lanes: sum("lanes"), exchanges: sum("exchanges") };
  }

  /** Why the agent cannot serve; undefined if it can. */
  get problem(): string | undefined {
    return this.#current ? this.#current.problem : this.#problem;
  }

  /** Drains all sessions and dials no more. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#health.stop();
    clearTimeout(this.#timer);
    await Promise.all([...this.#sessions.keys()].map((session) => session.drain(graceMs)));
    this.#identityProxy.close();
  }

  /** Only one at a time: there is no session then, and no timer. A certificate may have to be got first. */
  #dial(): void {
    const opened = this.#options.enrolment.prove().then((proof) => this.#open(proof));
    opened.catch((err: unknown) => {
      this.#problem = `${NOT_ATTACHED}: ${err instanceof Error ? err.message : err}`;
      if (this.#stopped) return;
      const waitMs = Math.round(this.#redial());
      this.#options.log.error({ err, waitMs }, "cannot attach to the relay");
    });
  }

  #open(proof: string): void {
    if (this.#stopped) return;
    const { relay, version, clusterUid, log } = this.#options;
    const client = new GrpcConnection(() => relay.address());
    const session = new Session({
      relay: client,
      relayName: relay.name,
      identityProxy: this.#identityProxy,
      proof,
      version,
      clusterUid,
      condition: this.#health.condition,
      registered: () => {
        this.#backoff.reset();
        log.info({ relay: relay.name }, "attached");
        if (this.#current !== session) return; // outdated itself by now: the next one takes the place of all
        for (const outdated of this.#outdated) void outdated.drain(Number.POSITIVE_INFINITY);
        this.#outdated.clear();
      },
      lanesOpened: () => this.#health.start(),
      draining: () => {
        log.info("the relay is stopping; attaching anew");
        if (this.#current === session) this.#redial();
      },
      closed: (error) => this.#onClosed(session, error),
    });
    this.#current = session;
    this.#sessions.set(session, client);
  }

  /** Lanes lead to one identity proxy for good: those of a new session lead to the one that comes after it. */
  #leaveIdentityProxy(): void {
    const session = this.#current;
    if (this.#stopped || session === undefined) return;
    this.#options.log.info("the identity proxy is stopping; attaching anew");
    this.#outdated.add(session);
    this.#redial();
  }

  #onClosed(session: Session, error: FairleadError | undefined): void {
    this.#sessions.get(session)?.close();
    this.#sessions.delete(session);
    this.#outdated.delete(session);
    if (this.#stopped || this.#current !== session) return;
    if (error?.code === ErrorCode.TOKEN_REFUSED) this.#options.enrolment.refused();
    const reason = error?.message ?? "ended by the relay";
    this.#problem = `${NOT_ATTACHED}: ${reason}`;
    const waitMs = Math.round(this.#redial());
    this.#options.log.warn({ reason, waitMs }, NOT_ATTACHED);
  }

  #redial(): number {
    this.#current = undefined;
    const waitMs = this.#backoff.next();
    this.#timer = setTimeout(() => this.#dial(), waitMs);
    return waitMs;
  }
}
