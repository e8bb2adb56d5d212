import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import { Agent, fetch } from "undici";
import { CLOCK_TOLERANCE_SECONDS, expired, issuedInFuture, notValidYet } from "./clock.ts";
import type { IssuerConfiguration } from "./configuration.ts";

/** Signatures of public keys only: with a shared secret, whoever verifies could also sign. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
/** How long one fetch from the issuer may take, in milliseconds. kubectl is to hear within 5 s. */
const FETCH_TIMEOUT_MS = 3_000;
/** How long known keys count without a new fetch, in milliseconds. */
const KEYS_MAX_AGE_MS = 10 * 60_000;
/** How long after a fetch an unknown key id does not cause another, in milliseconds. */
const KEYS_COOLDOWN_MS = 30_000;
/** How long after a fetch that failed nothing is fetched, in milliseconds: tokens must not flood an issuer in trouble. */
const FAILURE_PAUSE_MS = 1_000;

/** The issuer's keys cannot be had, so nothing can be said about a token. */
export class IssuerUnavailableError extends Error {
  override readonly name = "IssuerUnavailableError";
}

type Keys = JWTVerifyGetKey;

/** One issuer: its keys, handed over or fetched when they are first needed, and the judgement of its tokens. */
export class Issuer {
  readonly configuration: IssuerConfiguration;
  readonly #dispatcher: Agent;
  #keys: Promise<Keys> | undefined;
  #failure: { error: IssuerUnavailableError; untilMs: number } | undefined;

  /** @param before the same issuer as it was configured until now: its keys stay known if they come from the same place */
  constructor(configuration: IssuerConfiguration, before?: Issuer) {
    this.configuration = configuration;
    if (before && isSameSource(before.configuration, configuration)) {
      this.#dispatcher = before.#dispatcher;
      this.#keys = before.#keys;
      this.#failure = before.#failure;
      return;
    }
    const { certificateAuthority } = configuration;
    const connect = certificateAuthority === undefined ? {} : { ca: certificateAuthority };
    this.#dispatcher = new Agent({ connect: { ...connect, timeout: FETCH_TIMEOUT_MS } });
  }

  /**
   * Verifies a token's signature, issuer, audience and times.
   *
   * @throws IssuerUnavailableError if the keys cannot be fetched
   * @throws Error with a sentence for the caller, if the token is not valid
   */
  async verify(token: string): Promise<JWTPayload> {
    const keys = await this.#currentKeys();
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: this.configuration.url,
        audience: this.configuration.audiences,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        requiredClaims: ["exp", "iat"],
      });
      if ((payload.iat ?? 0) > Date.now() / 1000 + CLOCK_TOLERANCE_SECONDS) throw new Error(issuedInFuture(payload));
      return payload;
    } catch (error) {
      throw judgement(error, this.configuration);
    }
  }

  async #currentKeys(): Promise<Keys> {
    this.#keys ??= this.#discover();
    try {
      return await this.#keys;
    } catch (error) {
      this.#keys = undefined;
      throw error;
    }
  }

  /** OpenID Connect Discovery 1.0, 4: the document must be the issuer's own. */
  async #discover(): Promise<Keys> {
    const { url, discoveryUrl, keys } = this.configuration;
    if (keys) return createLocalJWKSet(keys);
    try {
      const answer = await this.#fetch(discoveryUrl ?? `${url.replace(/\/$/, "")}/.well-known/openid-configuration`);
      const document: unknown = await answer.json();
      const { issuer, jwks_uri: keysUrl } = Object(document);
      if (issuer !== url) throw new Error(`the discovery document is of the issuer ${issuer}`);
      if (!URL.canParse(keysUrl) || new URL(keysUrl).protocol !== "https:") throw new Error("jwks_uri is not https");
      return createRemoteJWKSet(new URL(keysUrl), {
        timeoutDuration: FETCH_TIMEOUT_MS,
        cacheMaxAge: KEYS_MAX_AGE_MS,
        cooldownDuration: KEYS_COOLDOWN_MS,
        [customFetch]: (keysAt, options) => this.#fetch(keysAt, options.signal),
      });
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  /** Fetches JSON. @throws IssuerUnavailableError for all that is not a good answer */
  async #fetch(url: string, limit?: AbortSignal | null): Promise<Response> {
    if (this.#failure && this.#failure.untilMs > Date.now()) throw this.#failure.error;
    try {
      const signal = limit ?? AbortSignal.timeout(FETCH_TIMEOUT_MS);
      const answer = await fetch(url, { dispatcher: this.#dispatcher, signal, redirect: "error" });
      if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
      return Response.json(await answer.json());
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  #failed(cause: unknown): IssuerUnavailableError {
    if (cause instanceof IssuerUnavailableError) return cause;
    const error = unavailable(this.configuration, cause);
    this.#failure = { error, untilMs: Date.now() + FAILURE_PAUSE_MS };
    return error;
  }
}

function isSameSource(a: IssuerConfiguration, b: IssuerConfiguration): boolean {
  return (
    a.url === b.url &&
    a.discoveryUrl === b.discoveryUrl &&
    a.certificateAuthority === b.certificateAuthority &&
    a.keys === b.keys
  );
}

/** jose's errors as a sentence for the caller; never with a part of the token. */
function judgement(error: unknown, configuration: IssuerConfiguration): Error {
  if (error instanceof IssuerUnavailableError) return error;
  if (error instanceof errors.JWTExpired) return new Error(expired(error.payload));
  if (error instanceof errors.JWTClaimValidationFailed) {
    const wrong = {
      aud: `it is not for the audience ${configuration.audiences.join(" or ")}`,
      iss: `its issuer is not ${configuration.url}`,
      nbf: notValidYet(error.payload),
    };
    return new Error(Object(wrong)[error.claim] ?? `its claim ${error.claim} is not as it must be`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return new Error("its signature is not the issuer's");
  if (error instanceof errors.JWKSNoMatchingKey)
    return new Error("it is signed with a key that the issuer does not have");
  if (error instanceof errors.JOSEAlgNotAllowed) return new Error("its signature's algorithm is not allowed");
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid)
    return unavailable(configuration, error);
  if (error instanceof errors.JOSEError && error.code !== "ERR_JOSE_GENERIC") return new Error("it is not a valid JWT");
  if (error instanceof TypeError || error instanceof errors.JOSEError) return unavailable(configuration, error);
  return error instanceof Error ? error : new Error(String(error));
}

function unavailable(configuration: IssuerConfiguration, cause: unknown): IssuerUnavailableError {
  const reason = cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : cause;
  return new IssuerUnavailableError(`the issuer ${configuration.url} cannot be asked for its keys (${reason})`, {
    cause,
  });
}
