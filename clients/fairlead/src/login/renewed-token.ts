import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { KeptLogin } from "./login-store.ts";

/** Of a token's life, how much passes before it is renewed: exchanges under way look for a newer one by then too. */
const RENEWED_AFTER = 2 / 3;
/** With less than that left, a token is not used any more, in milliseconds: it would expire on its way. */
const SPARE_MS = 5_000;
/** How long after a renewal that failed it is tried again, while the token still counts, in milliseconds. */
const RETRY_MS = 10_000;

/** Where a login is kept. */
export interface LoginPlace {
  /** Changes whenever the login does; undefined if there is none. */
  readonly version: string | undefined;
  read(): Promise<KeptLogin | undefined>;
  write(login: KeptLogin): Promise<unknown>;
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * A token that is renewed in time. Whoever asks at the same moment, in this process or in others, waits for one renewal:
 * a refresh token may count only once.
 */
export class RenewedToken {
  readonly #relay: string;
  readonly #by: string;
  readonly #place: LoginPlace;
  readonly #renew: (before: KeptLogin | undefined) => Promise<KeptLogin>;
  #known: { login: KeptLogin; version: string | undefined } | undefined;
  #renewing: Promise<KeptLogin> | undefined;
  #retryAtMs = 0;

  /**
   * @param relay the origin that the token is sent to
   * @param by how it is got ({@link loginKey})
   * @param renew gets a token, with what was kept before
   */
  constructor(
    relay: string,
    by: string,
    place: LoginPlace,
    renew: (before: KeptLogin | undefined) => Promise<KeptLogin>,
  ) {
    this.#relay = relay;
    this.#by = by;
    this.#place = place;
    this.#renew = renew;
  }

  /** @throws FairleadError TOKEN_REFUSED if there is none, UNREACHABLE if it has expired and cannot be renewed now */
  async get(): Promise<string> {
    const login = await this.#kept();
    if (login && (isFresh(login) || (counts(login) && Date.now() < this.#retryAtMs))) return login.token;
    this.#renewing ??= this.#renewed(login).finally(() => {
      this.#renewing = undefined;
    });
    return (await this.#renewing).token;
  }

  async #renewed(known: KeptLogin | undefined): Promise<KeptLogin> {
    let before = known;
    try {
      return await this.#place.exclusively(async () => {
        before = await this.#kept();
        if (before && isFresh(before)) return before; // another process was first
        const login = await this.#renew(before);
        // What it was renewed with is spent: where it cannot be kept, this process at least goes on with the new one.
        await this.#place.write(login).catch(() => {});
        this.#known = { login, version: this.#place.version };
        return login;
      });
    } catch (error) {
      if (!before || !counts(before)) throw error;
      this.#retryAtMs = Date.now() + RETRY_MS;
      return before;
    }
  }

  /** What is kept now, which another process may have changed. */
  async #kept(): Promise<KeptLogin | undefined> {
    const { version } = this.#place;
    if (version === undefined) return undefined;
    if (this.#known?.version !== version) {
      const login = await this.#place.read();
      if (login === undefined) return undefined;
      if (login.relay !== this.#relay || login.by !== this.#by) throw forAnother(login, this.#relay);
      this.#known = { login, version };
    }
    return this.#known.login;
  }
}

function isFresh({ obtainedAtMs, expiresAtMs }: KeptLogin): boolean {
  const nowMs = Date.now();
  // Also after the clock was set back.
  return nowMs >= obtainedAtMs - SPARE_MS && nowMs < obtainedAtMs + (expiresAtMs - obtainedAtMs) * RENEWED_AFTER;
}

function counts({ expiresAtMs }: KeptLogin): boolean {
  return Date.now() < expiresAtMs - SPARE_MS;
}

function forAnother(kept: KeptLogin, relay: string): FairleadError {
  const why = kept.relay === relay ? "was got in another way than this command knows" : `is for ${kept.relay}`;
  const sentence = `your login ${why}, and does not count for ${relay}; run \`fairlead login ${relay}\``;
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence);
}
