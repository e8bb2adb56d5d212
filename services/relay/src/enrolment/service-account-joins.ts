import { randomUUID } from "node:crypto";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Store, Tables } from "../store/store.ts";
import type { ServiceAccountJoin } from "./service-account-join.ts";

/** What is registered for a cluster. */
export interface RegisteredJoin extends ServiceAccountJoin {
  cluster: string;
  /** Another for each time that it was registered. */
  id: string;
}

/**
 * By whose tokens the agents of clusters may join, as their administrators registered it. It is read anew at each attempt
 * to join, of which there are few: so a change counts at once, also where several relays share the database.
 */
export class ServiceAccountJoins {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Registers for a cluster, in the place of what was registered before.
   *
   * @param join checked, see `checkServiceAccountJoin`; undefined: agents cannot join by a service account any more
   */
  async set(cluster: string, join: ServiceAccountJoin | undefined): Promise<void> {
    await this.#store.transaction().execute(async (transaction) => {
      await transaction.deleteFrom("service_account_joins").where("cluster", "=", cluster).execute();
      if (join) await transaction.insertInto("service_account_joins").values(rowOf(cluster, join)).execute();
    });
  }

  /** What is registered with an audience, which names one cluster; undefined if nothing is. */
  async byAudience(audience: string): Promise<RegisteredJoin | undefined> {
    const rows = this.#store.selectFrom("service_account_joins").selectAll();
    const row = await rows.where("audience", "=", audience).executeTakeFirst();
    return row && joinOf(row);
  }

  /**
   * Uses what is registered, by which a token was judged: it may have been changed, or removed with its cluster, meanwhile.
   *
   * @param store the transaction that the joining is a part of
   * @returns the cluster
   * @throws FairleadError TOKEN_REFUSED if it is not there any more
   */
  async use(store: Store, { cluster, id }: RegisteredJoin): Promise<string> {
    const rows = store.selectFrom("service_account_joins").select("cluster");
    const row = await rows.where("cluster", "=", cluster).where("id", "=", id).executeTakeFirst();
    if (row) return row.cluster;
    const sentence = `the service account's token is refused: what is registered for the cluster ${cluster} was changed or removed while it was judged`;
    throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
  }
}

type Row = Tables["service_account_joins"];

function rowOf(cluster: string, join: ServiceAccountJoin): Row {
  const { serviceAccount: service_account, issuer, jwks = null, audience } = join;
  const { certificateAuthority: certificate_authority = null } = join;
  return { cluster, id: randomUUID(), service_account, issuer, jwks, certificate_authority, audience };
}

function joinOf({ cluster, id, service_account, issuer, jwks, certificate_authority, audience }: Row): RegisteredJoin {
  const certificateAuthority = certificate_authority ?? undefined;
  return {
    cluster,
    id,
    serviceAccount: service_account,
    issuer,
    jwks: jwks ?? undefined,
    certificateAuthority,
    audience,
  };
}
