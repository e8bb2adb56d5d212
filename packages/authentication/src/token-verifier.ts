import { hash } from "node:crypto";
import { ErrorCode, FairleadError, type Hop } from "@fairlead/protocol";
import { decodeJwt } from "jose";
import { TookTooLongError } from "./cel/deadline.ts";
import type { IssuerConfiguration } from "./configuration.ts";
import { Issuer, IssuerUnavailableError } from "./issuer.ts";
import { type MappedDetails, mappedDetails } from "./mapped-details.ts";
import { type Subject, subjectOf } from "./subject.ts";

/** How long a judgement is kept, in milliseconds; never beyond the token's own expiry. */
const CACHE_MS = 60_000;
/** How long it is kept that a token took too long, in milliseconds: not for long, as a busy machine may be why. */
const SLOW_MS = 10_000;
/** Most judgements kept. */
const CACHE_ENTRIES = 10_000;
/** Longest token that is looked at. */
const MAX_TOKEN_BYTES = 256 * 1024;

/** By the token's hash, so that no token stays in memory for longer than its request. */
type Judgements = Map<string, { judgement: Subject | TookTooLongError; untilMs: number }>;

/** Judges bearer tokens by the configured issuers. */
export class TokenVerifier {
  /** Whether the configuration was changed to one that cannot be used, so that the one before goes on to count. */
  isOutdated = false;
  readonly #hop: Hop;
  #issuers = new Map<string, Issuer>();
  #known: Judgements = new Map();

  /**
   * @param issuers the configured issuers
   * @param hop the process that judges, named in errors
   */
  constructor(issuers: readonly IssuerConfiguration[], hop: Hop) {
    this.#hop = hop;
    this.use(issuers);
  }

  /** Judges by other issuers from now on. What was judged before does not count any more. */
  use(issuers: readonly IssuerConfiguration[]): void {
    this.#issuers = new Map(issuers.map((issuer) => [issuer.url, new Issuer(issuer, this.#issuers.get(issuer.url))]));
    this.#known = new Map();
    this.isOutdated = false;
  }

  /** What the issuers' tokens give of people besides names and groups. */
  get mapped(): MappedDetails {
    return mappedDetails([...this.#issuers.values()].map(({ configuration }) => configuration));
  }

  /** The subject of a token that was judged just before; undefined: ask {@link verify}. */
  known(token: string): Subject | undefined {
    const judgement = this.#judgementOf(token);
    return judgement instanceof Error ? undefined : judgement;
  }

  /**
   * Judges a token.
   *
   * @param token the bearer token; undefined or empty if the request had none
   * @throws FairleadError TOKEN_REFUSED, or ISSUER_UNAVAILABLE if it cannot be judged
   */
  async verify(token: string | undefined): Promise<Subject> {
    if (token === undefined || token === "") throw this.#refused("there is no token; sign in first");
    const judgement = this.#judgementOf(token) ?? (await this.#judge(token));
    if (judgement instanceof Error) throw this.#refused(`the token is refused: ${judgement.message}`);
    return judgement;
  }

  #judgementOf(token: string): Subject | TookTooLongError | undefined {
    const entry = this.#known.get(hash("sha256", token));
    return entry && entry.untilMs > Date.now() ? entry.judgement : undefined;
  }

  /** @returns its subject, or why it is refused. What took long is kept too: nobody is to have it done again and again. */
  async #judge(token: string): Promise<Subject | Error> {
    const judgements = this.#known; // of the issuers that judge now, although others may by the time it is judged
    try {
      const issuer = this.#issuerOf(token);
      const subject = subjectOf(await issuer.verify(token), issuer.configuration);
      keep(judgements, token, subject, Math.min(Date.now() + CACHE_MS, subject.expiresAtMs));
      return subject;
    } catch (error) {
      if (error instanceof IssuerUnavailableError) {
        const sentence = `${error.message}; try again when it is back`;
        throw new FairleadError(ErrorCode.ISSUER_UNAVAILABLE, this.#hop, sentence, { cause: error });
      }
      if (error instanceof TookTooLongError) keep(judgements, token, error, Date.now() + SLOW_MS);
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #issuerOf(token: string): Issuer {
    if (token.length > MAX_TOKEN_BYTES) throw new Error("it is too long");
    let claimed: string | undefined;
    try {
      claimed = decodeJwt(token).iss;
    } catch {
      throw new Error("it is not a JWT");
    }
    const issuer = this.#issuers.get(claimed ?? "");
    if (issuer === undefined) throw new Error("its issuer is not one that is configured here");
    return issuer;
  }

  #refused(sentence: string): FairleadError {
    return new FairleadError(ErrorCode.TOKEN_REFUSED, this.#hop, sentence);
  }
}

function keep(judgements: Judgements, token: string, judgement: Subject | TookTooLongError, untilMs: number): void {
  if (judgements.size >= CACHE_ENTRIES) {
    const [oldest] = judgements.keys();
    if (oldest !== undefined) judgements.delete(oldest);
  }
  judgements.set(hash("sha256", token), { judgement, untilMs });
}

/** The token of an `Authorization: Bearer` value (RFC 6750, 2.1); undefined if it is not one. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization ?? "")?.[1];
}
