import { randomUUID, type X509Certificate } from "node:crypto";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Store, Tables } from "../store/store.ts";
import type { ProvenAgent } from "./agent-proof-verifier.ts";
import type { JoinTokens } from "./join-tokens.ts";
import type { RegisteredJoin, ServiceAccountJoins } from "./service-account-joins.ts";

/** What the relay knows of a cluster's agent: the key that it has now, and until when. */
export interface AgentRecord {
  /** Another for each time that an agent joined. */
  joinId: string;
  key: string;
  /** The key before, until the present one was used. */
  previousKey: string | undefined;
  expiresAtMs: number;
  /** The uid of the cluster's namespace kube-system; empty if it is not known. */
  clusterUid: string;
}

/** Who joins, with what key, and where. */
export type Joining = { key: string; clusterUid: string } & (
  | { joinToken: string }
  /** By whose token it joins, which was verified. */
  | { serviceAccountJoin: RegisteredJoin }
);

/** The agents that have joined: one record a cluster, however many replicas it has. Held in memory too. */
export class Agents {
  readonly #store: Store;
  readonly #joinTokens: JoinTokens;
  readonly #serviceAccountJoins: ServiceAccountJoins;
  readonly #byCluster = new Map<string, AgentRecord>();
  /** How often they were changed here, begun and done. */
  #changes = 0;

  private constructor(store: Store, joinTokens: JoinTokens, serviceAccountJoins: ServiceAccountJoins) {
    this.#store = store;
    this.#joinTokens = joinTokens;
    this.#serviceAccountJoins = serviceAccountJoins;
  }

  static async load(store: Store, joinTokens: JoinTokens, serviceAccountJoins: ServiceAccountJoins): Promise<Agents> {
    const agents = new Agents(store, joinTokens, serviceAccountJoins);
    await agents.reload();
    return agents;
  }

  /** Reads them anew: another relay of the same database may have changed them. */
  async reload(): Promise<void> {
    const before = this.#changes;
    const rows = await this.#store.selectFrom("agents").selectAll().execute();
    if (this.#changes !== before) return; // changed here meanwhile: what was read may be older
    this.#byCluster.clear();
    for (const row of rows) this.#byCluster.set(row.cluster, recordOf(row));
  }

  /** Reads an agent's record anew if a key is not what it names: another relay may have changed it. */
  async catchUp({ cluster, key }: ProvenAgent): Promise<void> {
    const agent = this.#byCluster.get(cluster);
    if (agent?.key === key) return;
    const row = await this.#store.selectFrom("agents").selectAll().where("cluster", "=", cluster).executeTakeFirst();
    if (row === undefined) this.#byCluster.delete(cluster);
    else if (row.key !== agent?.key) this.#byCluster.set(cluster, recordOf(row));
  }

  of(cluster: string): AgentRecord | undefined {
    return this.#byCluster.get(cluster);
  }

  /** A cluster was removed, and its row with it. */
  forget(cluster: string): void {
    this.#changes++;
    this.#byCluster.delete(cluster);
  }

  /**
   * Makes the holder of a key the agent of the cluster that a join token or a service account's token is for, in the place
   * of the one before. The same key once more is a repetition: what is attached by it stays.
   *
   * @param certify certifies the key for the cluster; the token is used only if that goes well
   * @throws FairleadError TOKEN_REFUSED
   */
  async join(
    joining: Joining,
    certify: (cluster: string) => Promise<X509Certificate>,
  ): Promise<{ cluster: string; certificate: X509Certificate }> {
    const { key, clusterUid } = joining;
    this.#changes++;
    const joined = await this.#store.transaction().execute(async (transaction) => {
      const cluster =
        "joinToken" in joining
          ? await this.#joinTokens.use(transaction, joining.joinToken, key)
          : await this.#serviceAccountJoins.use(transaction, joining.serviceAccountJoin);
      const agents = transaction.selectFrom("agents").selectAll();
      const before = await agents.where("cluster", "=", cluster).executeTakeFirst();
      // A join token is handed over by an administrator, who may have made the cluster anew.
      const cluster_uid = "joinToken" in joining ? clusterUid : sameUid(cluster, before?.cluster_uid ?? "", clusterUid);
      const certificate = await certify(cluster);
      const expires_at_ms = certificate.validToDate.getTime();
      const join_id = before?.key === key ? before.join_id : randomUUID();
      const row = { join_id, key, previous_key: null, expires_at_ms, cluster_uid };
      await transaction
        .insertInto("agents")
        .values({ ...row, cluster })
        .onConflict((conflict) => conflict.column("cluster").doUpdateSet(row))
        .execute();
      return { cluster, row, certificate };
    });
    this.#byCluster.set(joined.cluster, recordOf(joined.row));
    this.#changes++;
    return joined;
  }

  /**
   * Replaces an agent's key by its next one. From the key before the present one that is a repetition, and only for the
   * same next key: any other use of it is a copy of the agent's state.
   *
   * @throws FairleadError TOKEN_REFUSED
   */
  async renew(proven: ProvenAgent, nextKey: string, expiresAtMs: number): Promise<void> {
    await this.catchUp(proven);
    const { cluster, key } = proven;
    const agent = this.#byCluster.get(cluster);
    if (!agent) throw unknown(cluster);
    if (agent.key !== key && !(agent.previousKey === key && agent.key === nextKey)) throw superseded(cluster);
    const previousKey = agent.key === nextKey ? agent.previousKey : agent.key;
    this.#changes++;
    const { numUpdatedRows } = await this.#store
      .updateTable("agents")
      .set({ key: nextKey, previous_key: previousKey ?? null, expires_at_ms: expiresAtMs })
      .where("cluster", "=", cluster)
      .where("key", "=", agent.key)
      .executeTakeFirst();
    if (numUpdatedRows === 0n) throw superseded(cluster); // renewed at the same instant, by another relay
    this.#byCluster.set(cluster, { ...agent, key: nextKey, previousKey, expiresAtMs });
    this.#changes++;
  }

  /**
   * Lets an agent attach that has proved its key.
   *
   * @param clusterUid the uid of the cluster that it says it is in; empty if it does not know
   * @throws FairleadError TOKEN_REFUSED if the key is not the agent's any more, or the cluster another
   */
  attach(proven: ProvenAgent, clusterUid: string): AgentRecord {
    const agent = this.judge(proven, clusterUid);
    if (agent.key === proven.key && agent.previousKey !== undefined) this.#forgetPrevious(proven.cluster, agent);
    return agent;
  }

  /** The present key is in use: the one before it opens nothing any more, at the next relay either. */
  #forgetPrevious(cluster: string, agent: AgentRecord): void {
    agent.previousKey = undefined;
    this.#changes++;
    const forgotten = this.#store
      .updateTable("agents")
      .set({ previous_key: null })
      .where("cluster", "=", cluster)
      .where("key", "=", agent.key)
      .execute();
    forgotten.catch(() => {}); // a database that is away: it is forgotten when the agent next attaches to a new relay
  }

  /** Whether an agent that has proved its key might attach. Changes nothing. Parameters and errors as {@link attach}. */
  judge({ cluster, key }: ProvenAgent, clusterUid: string): AgentRecord {
    const agent = this.#byCluster.get(cluster);
    if (!agent) throw unknown(cluster);
    if (agent.key !== key && agent.previousKey !== key) throw superseded(cluster);
    if (agent.clusterUid !== "" && clusterUid !== "" && agent.clusterUid !== clusterUid) {
      throw otherCluster(cluster, agent.clusterUid, clusterUid);
    }
    return agent;
  }
}

type Row = Pick<Tables["agents"], "join_id" | "key" | "previous_key" | "expires_at_ms" | "cluster_uid">;

function recordOf({ join_id, key, previous_key, expires_at_ms, cluster_uid }: Row): AgentRecord {
  const previousKey = previous_key ?? undefined;
  return { joinId: join_id, key, previousKey, expiresAtMs: expires_at_ms, clusterUid: cluster_uid };
}

function unknown(cluster: string): FairleadError {
  const sentence = `no agent has joined for a cluster ${cluster}, or the cluster was removed; make a join token with \`fairlead clusters join-token ${cluster}\``;
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
}

function superseded(cluster: string): FairleadError {
  const sentence = `the agent's key was replaced by a newer one: another agent has joined for the cluster ${cluster}, or this one's state is an old copy; if this is the right one, make a join token with \`fairlead clusters join-token ${cluster}\``;
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
}

function otherCluster(cluster: string, due: string, shown: string): FairleadError {
  const sentence = `the agent's state is in two clusters: it joined as ${cluster} in the one whose kube-system has the uid ${due}, and this one's is ${shown}; give this cluster a name and a join token of its own`;
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
}

/** @returns the cluster's uid, also if one of the two is not known. @throws FairleadError TOKEN_REFUSED if they differ */
function sameUid(cluster: string, due: string, shown: string): string {
  if (due === "" || shown === "" || due === shown) return due || shown;
  const sentence = `the service account's token is refused: the kube-system of the cluster ${cluster} had the uid ${due}, and now has ${shown}; if the cluster was made anew, let its agent join by \`fairlead clusters join-token ${cluster}\` once`;
  throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
}
