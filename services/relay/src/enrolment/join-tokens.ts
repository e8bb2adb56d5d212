import { hash, randomBytes } from "node:crypto";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Store } from "../store/store.ts";

/** How long a join token can be used, in milliseconds. */
export const JOIN_TOKEN_MS = 30 * 60_000;
/** Says what it is, to people and to scanners for leaked secrets. */
const PREFIX = "flj_";

/** A join token, as it is shown once. */
export interface JoinToken {
  token: string;
  expiresAtMs: number;
}

/**
 * The join tokens of clusters: each for one cluster, for half an hour, for one agent's key. Kept as hashes only; 256
 * random bits need no salt and no slow hash.
 */
export class JoinTokens {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Makes a cluster's join token. One that it had before does not count any more. */
  async create(cluster: string): Promise<JoinToken> {
    const token = PREFIX + randomBytes(32).toString("base64url");
    const expiresAtMs = Date.now() + JOIN_TOKEN_MS;
    const row = { token_sha256: hash("sha256", token), cluster, expires_at_ms: expiresAtMs, used_by_key: null };
    await this.#store.transaction().execute(async (transaction) => {
      await transaction.deleteFrom("join_tokens").where("cluster", "=", cluster).execute();
      await transaction.insertInto("join_tokens").values(row).execute();
    });
    return { token, expiresAtMs };
  }

  /**
   * Uses a join token for a key. The same key may use it again while it lasts: the answer may have been lost.
   *
   * @param store the store, or the transaction that the use is a part of
   * @returns the cluster
   * @throws FairleadError TOKEN_REFUSED, alike for one that is unknown, used, too old or replaced
   */
  async use(store: Store, token: string, key: string): Promise<string> {
    const used = await store
      .updateTable("join_tokens")
      .set({ used_by_key: key })
      .where("token_sha256", "=", hash("sha256", token))
      .where("expires_at_ms", ">", Date.now())
      .where((where) => where.or([where("used_by_key", "is", null), where("used_by_key", "=", key)]))
      .returning("cluster")
      .executeTakeFirst();
    if (used) return used.cluster;
    const sentence =
      "the join token does not count: it was used, is older than 30 minutes, or there is a newer one; make one with `fairlead clusters join-token CLUSTER`";
    throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
  }
}
