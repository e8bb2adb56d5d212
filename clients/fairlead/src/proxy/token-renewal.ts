import { create } from "@bufbuild/protobuf";
import { type ProofKey, provenCredential } from "@fairlead/authentication";
import { tokenExpiryMs } from "@fairlead/authentication/token-claims";
import {
  CredentialSchema,
  ErrorCode,
  FairleadError,
  Hop,
  type Lane,
  type RequestHead,
  sendCredential,
} from "@fairlead/protocol";
import type { TokenSource } from "../relay/token-source.ts";

/** How often it is looked for exchanges whose token is to be replaced, in milliseconds. */
const LOOK_MS = 1_000;
/** Of what a token has left, how much passes before a newer one is looked for. */
const WAITS_FOR = 2 / 3;
/** With what the same token is refused the next time too; PROTOCOL_VIOLATION is the word of a hop that is older. */
const FINAL = new Set([ErrorCode.ACCESS_DENIED, ErrorCode.PROTOCOL_VIOLATION]);

/** A token, and when it says that it expires. */
interface ExpiringToken {
  token: string;
  expiresAtMs: number;
}

/** An exchange under way. */
interface Live {
  readonly head: Pick<RequestHead, "exchangeId" | "cluster">;
  /** When it ends by its token. */
  expiresAtMs: number;
  /** From when on a newer token is looked for. */
  dueAtMs: number;
  /** The token that it cannot be carried on by. */
  refused: string | undefined;
}

/** Where lanes to the relay come from. */
interface Lanes {
  take(gone: () => boolean): Promise<Lane>;
  release(lane: Lane): void;
}

/**
 * Carries watches, execs and the like on beyond the token that they were begun with. When two thirds of what a token has
 * left have passed, a newer one is looked for, until there is one; it is sent to the relay, for one exchange after the
 * other. Where that fails, it is done again after two thirds of what is left then: more and more often towards the end.
 */
export class TokenRenewal {
  readonly #lanes: Lanes;
  readonly #token: TokenSource;
  readonly #proofKey: ProofKey | undefined;
  readonly #live = new Set<Live>();
  readonly #timer = setInterval(() => void this.#look(), LOOK_MS);
  #known: ExpiringToken | undefined;
  #looking = false;

  /**
   * @param token gives the caller's token as it is now
   * @param proofKey the key that tokens are bound to, if they are
   */
  constructor(lanes: Lanes, token: TokenSource, proofKey?: ProofKey) {
    this.#lanes = lanes;
    this.#token = token;
    this.#proofKey = proofKey;
    this.#timer.unref();
  }

  /** How many exchanges are under way. */
  get count(): number {
    return this.#live.size;
  }

  /** An exchange begins with this token. @returns to be called when it is over */
  begin({ exchangeId, cluster }: RequestHead, token: string): () => void {
    const expiring = this.#expiring(token);
    if (expiring === undefined) return () => {}; // nobody here can tell when
    const { expiresAtMs } = expiring;
    const live: Live = { head: { exchangeId, cluster }, expiresAtMs, dueAtMs: dueAt(expiresAtMs), refused: undefined };
    this.#live.add(live);
    return () => void this.#live.delete(live);
  }

  /** Looks for nothing any more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const nowMs = Date.now();
    const due = [...this.#live].filter(({ dueAtMs }) => dueAtMs <= nowMs);
    if (due.length === 0 || this.#looking) return;
    this.#looking = true;
    const newest = await this.#newest();
    for (const live of newest ? due : []) {
      const isNewer = newest && newest.expiresAtMs > live.expiresAtMs && newest.token !== live.refused;
      if (isNewer && this.#live.has(live)) await this.#carryOn(live, newest);
    }
    this.#looking = false;
  }

  async #carryOn(live: Live, { token, expiresAtMs }: ExpiringToken): Promise<void> {
    try {
      await this.#send(live, token);
      live.expiresAtMs = expiresAtMs;
    } catch (error) {
      if (FINAL.has(FairleadError.from(error, Hop.CLIENT_PROXY).code)) live.refused = token;
    }
    live.dueAtMs = dueAt(live.expiresAtMs);
  }

  async #send(live: Live, token: string): Promise<void> {
    const credential = create(CredentialSchema, { ...live.head, token });
    const lane = await this.#lanes.take(() => !this.#live.has(live));
    try {
      credential.proof = (await this.#proofKey?.prove(provenCredential(credential))) ?? "";
      await sendCredential(lane, credential, Hop.RELAY);
    } finally {
      this.#lanes.release(lane);
    }
  }

  /** The caller's token as it is now; undefined while there is none that can be read. */
  async #newest(): Promise<ExpiringToken | undefined> {
    try {
      return this.#expiring(await this.#token());
    } catch {
      return undefined; // whoever begins a request is told
    }
  }

  /** Most requests come with the token of the one before. */
  #expiring(token: string): ExpiringToken | undefined {
    if (this.#known?.token === token) return this.#known;
    const expiresAtMs = tokenExpiryMs(token);
    if (expiresAtMs === undefined) return undefined;
    this.#known = { token, expiresAtMs };
    return this.#known;
  }
}

function dueAt(expiresAtMs: number): number {
  const nowMs = Date.now();
  return nowMs + (expiresAtMs - nowMs) * WAITS_FOR;
}
