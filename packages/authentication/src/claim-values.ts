import type { JWTPayload } from "jose";
import { celValue, Expression } from "./cel/expression.ts";
import type { ClaimMapping } from "./configuration.ts";

/** Most characters of claims that expressions are given: what goes through their lists may take their square. */
const MAX_CHARACTERS = 32 * 1024;

/** What mappings make of a token's claims. */
export class ClaimValues {
  readonly #claims: JWTPayload;
  #celClaims: unknown;

  constructor(claims: JWTPayload) {
    this.#claims = claims;
  }

  /**
   * The value of a claim, undefined if it is not there, or of an expression.
   *
   * @throws Error with a sentence for the caller, if an expression cannot be evaluated, or there is a link in the
   *   claim's place
   */
  of(mapping: ClaimMapping | Expression): unknown {
    const names = mapping instanceof Expression ? mapping.claims : [mapping.claim];
    for (const name of names) this.#refuseLink(name);
    if (!(mapping instanceof Expression)) return this.#claims[mapping.claim];
    this.#celClaims ??= this.#forExpressions();
    return mapping.evaluate(this.#celClaims);
  }

  /**
   * Entra ID leaves the groups out of a token with too many, and names a link (`_claim_names`) or says so (`hasgroups`).
   */
  #refuseLink(claim: string): void {
    if (this.#claims[claim] !== undefined) return;
    const links = this.#claims._claim_names;
    const isLink = typeof links === "object" && links !== null && claim in links;
    if (!isLink && !(claim === "groups" && this.#claims.hasgroups !== undefined)) return;
    const sentence = `the token has too many groups to list them (${claim} is only a link)`;
    throw new Error(`${sentence}; have the issuer put only those into it that are assigned to the application`);
  }

  #forExpressions(): unknown {
    if (JSON.stringify(this.#claims).length > MAX_CHARACTERS) {
      throw new Error(
        `its claims have more than ${MAX_CHARACTERS / 1024} KiB, which is more than expressions may look at`,
      );
    }
    return celValue(this.#claims);
  }
}
