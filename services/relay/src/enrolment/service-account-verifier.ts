import { Issuer, IssuerUnavailableError } from "@fairlead/authentication";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { decodeJwt, type JWTPayload } from "jose";
import { keySetOf } from "./service-account-join.ts";
import type { RegisteredJoin, ServiceAccountJoins } from "./service-account-joins.ts";

/*
 * Who authenticates: a pod, by a token that its cluster's apiserver made for its service account (KEP-1205, KEP-1393).
 * What it may do: become the agent of the one cluster that is registered with the token's audience. What must not happen:
 * that a token counts that is of another account, issuer or cluster; that was made for another relay, or for
 * something else too; that lasts for long. Whether the registration counts still is for agents.ts to say.
 */

/** Longest token that is looked at. */
const MAX_TOKEN_BYTES = 16 * 1024;
/** Longest life of a token, in seconds. Ours last an hour at most; those of Secrets have no end, and are refused. */
const LONGEST_LIFE_SECONDS = 24 * 60 * 60;
/** Most issuers whose keys are kept. */
const MAX_ISSUERS = 1_000;

/** Judges the tokens of service accounts that agents join by. */
export class ServiceAccountVerifier {
  readonly #joins: ServiceAccountJoins;
  /** By the registration's id: one that was made anew has other keys. */
  readonly #issuers = new Map<string, Issuer>();

  constructor(joins: ServiceAccountJoins) {
    this.#joins = joins;
  }

  /**
   * Judges a token.
   *
   * @returns what it may join by
   * @throws FairleadError TOKEN_REFUSED with what is wrong, ISSUER_UNAVAILABLE if it cannot be judged; never with a part
   *   of the token. What is registered is told only to whoever has a token that the issuer signed.
   */
  async verify(token: string): Promise<RegisteredJoin> {
    const audience = audienceOf(token);
    const join = await this.#joins.byAudience(audience);
    if (join === undefined) {
      throw refused(
        "no cluster is registered here with its audience; `fairlead clusters join-service-account CLUSTER` registers one and prints the audience that is due",
      );
    }
    const { sub, iat = 0, exp = Number.POSITIVE_INFINITY } = await this.#judge(token, join);
    const due = `system:serviceaccount:${join.serviceAccount.replace("/", ":")}`;
    if (sub !== due) throw refused(`its subject is not ${due}`);
    if (exp - iat > LONGEST_LIFE_SECONDS) {
      throw refused("it lasts for more than 24 hours; give the agent a projected one, of an hour at most");
    }
    return join;
  }

  async #judge(token: string, join: RegisteredJoin): Promise<JWTPayload> {
    try {
      return await this.#issuerOf(join).verify(token);
    } catch (error) {
      if (error instanceof IssuerUnavailableError) {
        const sentence = `a service account's token cannot be judged: ${error.message}; try again when it is back, or register its keys with --join-jwks`;
        throw new FairleadError(ErrorCode.ISSUER_UNAVAILABLE, Hop.RELAY, sentence, { cause: error });
      }
      throw refused(error instanceof Error ? error.message : String(error));
    }
  }

  #issuerOf({ id, issuer: url, jwks, certificateAuthority, audience }: RegisteredJoin): Issuer {
    const known = this.#issuers.get(id);
    if (known) return known;
    const mapped = { username: { claim: "sub", prefix: "" }, groups: undefined, uid: undefined, extra: [] };
    const issuer = new Issuer({
      ...{ url, discoveryUrl: undefined, certificateAuthority, audiences: [audience] },
      ...(jwks !== undefined && { keys: keySetOf(jwks) }),
      ...{ ...mapped, requiredClaims: [], claimRules: [], userRules: [] },
    });
    const [oldest] = this.#issuers.keys();
    if (oldest !== undefined && this.#issuers.size >= MAX_ISSUERS) this.#issuers.delete(oldest);
    this.#issuers.set(id, issuer);
    return issuer;
  }
}

/** By its one audience the registration is found that it is judged by: nothing is believed yet. */
function audienceOf(token: string): string {
  if (token.length > MAX_TOKEN_BYTES) throw refused("it is too long");
  let aud: unknown;
  try {
    aud = decodeJwt(token).aud;
  } catch {
    throw refused("it is not a JWT");
  }
  const [audience, ...more] = Array.isArray(aud) ? aud : [aud];
  if (typeof audience !== "string" || more.length > 0) {
    throw refused("it is not for one audience alone: one that is for others too would be of use to whoever sees it");
  }
  return audience;
}

function refused(reason: string): FairleadError {
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, `the service account's token is refused: ${reason}`);
}
