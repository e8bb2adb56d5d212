import { ProofVerifier, type Subject, type TokenVerifier } from "@fairlead/authentication";
import { headerValues } from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";

/** Says who sends a request: by the token, and by the proof of the key that the token is bound to. */
export class Callers {
  readonly #verifier: TokenVerifier;
  readonly #requireBound: boolean;
  readonly #proofs = new ProofVerifier();

  /** @param requireBound whether only tokens that are bound to a key count */
  constructor(verifier: TokenVerifier, requireBound = false) {
    this.#verifier = verifier;
    this.#requireBound = requireBound;
  }

  /** The sender by a token that was judged just before, if nothing more is to be asked; else {@link authenticate} it. */
  known(token: string | undefined): Subject | undefined {
    if (token === undefined || this.#requireBound) return undefined;
    const subject = this.#verifier.known(token);
    return subject?.keyThumbprint === undefined ? subject : undefined;
  }

  /** @throws FairleadError TOKEN_REFUSED, ISSUER_UNAVAILABLE */
  async authenticate(token: string | undefined, head: RequestHead): Promise<Subject> {
    const subject = await this.#verifier.verify(token);
    const { keyThumbprint } = subject;
    if (keyThumbprint !== undefined) await this.#checkProof(head, token ?? "", keyThumbprint);
    else if (this.#requireBound) throw refused("it is bound to no key (DPoP), which this cluster asks for");
    return subject;
  }

  async #checkProof(head: RequestHead, token: string, keyThumbprint: string): Promise<void> {
    const { cluster, method, target, scope } = head;
    const proofs = headerValues(head.headers, "dpop");
    try {
      await this.#proofs.verify(proofs, { cluster, method, target, token, ...(scope && { scope }) }, keyThumbprint);
    } catch (error) {
      throw refused(error instanceof Error ? error.message : String(error));
    }
  }
}

function refused(reason: string): FairleadError {
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.IDENTITY_PROXY, `the token is refused: ${reason}`);
}
