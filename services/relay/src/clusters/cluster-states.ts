import { ClusterState } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Agents } from "../enrolment/agents.ts";
import type { Attachments } from "../lanes/attachments.ts";
import type { Clusters } from "./clusters.ts";

/** Whether a cluster can be reached, why not, and since when. */
export interface ClusterStatus {
  state: ClusterState;
  /** For people; empty for a cluster that is connected. */
  reason: string;
  /** In milliseconds since the epoch. */
  sinceMs: number;
}

/** A change of a cluster's state. */
export interface StateChange {
  cluster: string;
  /** Undefined: the cluster was removed. */
  now: ClusterStatus | undefined;
  before: ClusterStatus;
}

/** The state of each cluster, made of what is attached and who has joined. Whoever changes either says so. */
export class ClusterStates {
  readonly #clusters: Clusters;
  readonly #agents: Agents;
  readonly #attachments: Attachments;
  readonly #log: Logger;
  readonly #byCluster = new Map<string, ClusterStatus>();
  /** Why the last attachment ended. */
  readonly #lastEnd = new Map<string, string>();
  readonly #listeners = new Set<(change: StateChange) => void>();

  constructor(clusters: Clusters, agents: Agents, attachments: Attachments, log: Logger) {
    this.#clusters = clusters;
    this.#agents = agents;
    this.#attachments = attachments;
    this.#log = log;
    for (const { name, lastSeenAtMs } of clusters.list()) {
      const { state, reason } = this.#judge(name, Date.now());
      this.#byCluster.set(name, { state, reason, sinceMs: lastSeenAtMs ?? Date.now() });
    }
  }

  of(cluster: string): ClusterStatus {
    const status = this.#byCluster.get(cluster) ?? { ...this.#judge(cluster, Date.now()), sinceMs: Date.now() };
    if (this.#clusters.get(cluster)) this.#byCluster.set(cluster, status);
    return status;
  }

  /** @returns what ends it */
  onChange(listener: (change: StateChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** An attachment of a cluster's agent ended, or is about to: why it does is what was said first. */
  ended(cluster: string, reason: string): void {
    if (this.of(cluster).state !== ClusterState.OFFLINE) this.#lastEnd.set(cluster, reason);
    this.refresh(cluster);
  }

  /** An agent of a cluster's was not let in. */
  refused(cluster: string, reason: string): void {
    if (this.#clusters.get(cluster) === undefined) return;
    this.#lastEnd.set(cluster, reason);
    this.refresh(cluster);
  }

  /** Something has changed that a cluster's state is made of. */
  refresh(cluster: string, nowMs = Date.now()): void {
    const before = this.of(cluster);
    if (this.#clusters.get(cluster) === undefined) {
      this.#byCluster.delete(cluster);
      this.#lastEnd.delete(cluster);
      return this.#tell({ cluster, now: undefined, before });
    }
    const { state, reason } = this.#judge(cluster, nowMs);
    if (state === before.state && reason === before.reason) return;
    const sinceMs = state === before.state ? before.sinceMs : this.#beginning(cluster, state, nowMs);
    const now = { state, reason, sinceMs };
    this.#byCluster.set(cluster, now);
    this.#log.info(
      { cluster, state: ClusterState[state], reason, before: ClusterState[before.state] },
      "cluster's state",
    );
    this.#tell({ cluster, now, before });
  }

  /** Certificates expire by themselves. */
  refreshAll(nowMs: number): void {
    for (const { name } of this.#clusters.list()) this.refresh(name, nowMs);
  }

  #tell(change: StateChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #beginning(cluster: string, state: ClusterState, nowMs: number): number {
    return state === ClusterState.EXPIRED ? (this.#agents.of(cluster)?.expiresAtMs ?? nowMs) : nowMs;
  }

  #judge(cluster: string, nowMs: number): Omit<ClusterStatus, "sinceMs"> {
    const attached = this.#attachments.of(cluster).filter(({ accepts }) => accepts);
    if (attached.length === 0) return this.#judgeAbsent(cluster, nowMs);
    if (attached.some(({ hasLooked, problem }) => hasLooked && !problem))
      return { state: ClusterState.CONNECTED, reason: "" };
    const problem = attached.find((attachment) => attachment.problem)?.problem;
    if (problem) return { state: ClusterState.DEGRADED, reason: problem.message };
    const reason = "an agent has attached, and looks whether requests get through";
    return { state: ClusterState.CONNECTING, reason };
  }

  #judgeAbsent(cluster: string, nowMs: number): Omit<ClusterStatus, "sinceMs"> {
    const agent = this.#agents.of(cluster);
    if (agent === undefined) return { state: ClusterState.CONNECTING, reason: "no agent has joined yet" };
    if (agent.expiresAtMs <= nowMs) {
      const reason = `the agent's certificate has expired; start the agent if it joins by its service account, else make a join token with \`fairlead clusters join-token ${cluster}\``;
      return { state: ClusterState.EXPIRED, reason };
    }
    const end = this.#lastEnd.get(cluster) ?? "none has attached since the relay was started";
    return { state: ClusterState.OFFLINE, reason: `no agent is attached: ${end}` };
  }
}
