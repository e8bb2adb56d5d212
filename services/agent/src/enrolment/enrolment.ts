import { X509Certificate } from "node:crypto";
import { AgentIdentity } from "@fairlead/agent-identity";
import { requestedKey } from "@fairlead/certificates";
import {
  EnrolmentService,
  ErrorCode,
  FairleadError,
  Hop,
  type IssuedCertificate,
  onOwnConnection,
  type PeerAddress,
  TunnelService,
  unaryCall,
} from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { JoinCredential, ReadCredential } from "./join-credential.ts";
import type { AgentState, StateStore, Stored } from "./state-store.ts";

/** How long an agent that has joined by its service account leaves another in its place, in milliseconds. */
const JOIN_PAUSE_MS = 30_000;

/** What an agent joins a relay with. */
export interface EnrolmentOptions {
  relay: () => PeerAddress;
  store: StateStore;
  credential: ReadCredential;
  /** The uid of the cluster's namespace kube-system; empty if it cannot be known. */
  clusterUid: string;
  log: Logger;
}

/** An identity, and the state that it is in. */
interface Current {
  identity: AgentIdentity;
  stored: Stored;
}

/**
 * Gets an agent its certificate, and keeps it: joins by what it is given when there is none that counts, and renews at two
 * thirds of each certificate's life. The next key is kept before it is asked for, and used after its certificate was
 * kept: whatever is cut short can be done again, by this replica or by another that shares the state.
 */
export class Enrolment {
  readonly #options: EnrolmentOptions;
  #current: Current | undefined;
  /** The relay has refused what is current: what another replica has kept, or a new join token, may be better. */
  #isRefused = false;
  /** What was refused: see {@link #mayJoinBy}. */
  #refusedToken: string | undefined;
  #joinedAtMs = 0;

  constructor(options: EnrolmentOptions) {
    this.#options = options;
  }

  /** When the current certificate is to be renewed, and when it ends; undefined while there is none. */
  get identity(): Pick<AgentIdentity, "cluster" | "renewAtMs" | "expiresAtMs"> | undefined {
    return this.#current?.identity;
  }

  /** Proves the agent's key, to attach. @throws FairleadError why there is none that the relay could take */
  async prove(): Promise<string> {
    const { identity } = await this.#usable();
    return identity.prove(TunnelService.method.attach);
  }

  /** The relay refused the last proof. */
  refused(): void {
    this.#isRefused = true;
  }

  /**
   * Asks for the next certificate, or takes the one that another replica has kept.
   *
   * @throws FairleadError or the store's error; the current certificate goes on then
   */
  async renew(): Promise<void> {
    const { store, log } = this.#options;
    const kept = currentOf(await store.load());
    const ours = this.#current ?? kept;
    if (ours === undefined || kept === undefined) return;
    if (kept.stored.state.key !== ours.stored.state.key) {
      this.#use(kept);
      return;
    }
    const { key, request, stored } = await this.#keepNextKey(kept.stored);
    const token = await ours.identity.prove(EnrolmentService.method.renew);
    const { certificate } = await onOwnConnection(this.#options.relay, (relay) =>
      unaryCall(relay, EnrolmentService.method.renew, { certificateRequest: request }, { token, peerHop: Hop.RELAY }),
    );
    const { expiresAtMs } = this.#use(await this.#keep(key, certificate, stored));
    log.info({ until: new Date(expiresAtMs) }, "certificate renewed");
  }

  async #usable(): Promise<Current> {
    if (this.#current && !this.#isRefused && !hasExpired(this.#current)) return this.#current;
    const stored = await this.#options.store.load();
    const kept = currentOf(stored);
    const isAnother = kept?.stored.state.key !== this.#current?.stored.state.key;
    if (kept && !hasExpired(kept) && (isAnother || !this.#isRefused)) {
      this.#use(kept);
      return kept;
    }
    const credential = this.#options.credential();
    if (credential && this.#mayJoinBy(credential, kept)) return this.#join(stored, credential);
    return this.#lastResort(kept);
  }

  /**
   * A join token that was refused is not tried again. A service account's token may be taken later, such as when the
   * cluster is registered: it is tried again, in turn with the certificate that is kept, which may be good after all. If
   * that is of just now, another agent has joined by the same account: the two must not replace each other without rest.
   */
  #mayJoinBy({ case: by, value }: JoinCredential, kept: Current | undefined): boolean {
    if (by === "joinToken") return value !== this.#refusedToken;
    if (kept === undefined) return true;
    if (!hasExpired(kept) && Date.now() < this.#joinedAtMs + JOIN_PAUSE_MS) return false;
    const isItsTurn = value !== this.#refusedToken;
    this.#refusedToken = undefined;
    return isItsTurn;
  }

  /** @throws FairleadError if the relay refuses it */
  async #join(stored: Stored, credential: JoinCredential): Promise<Current> {
    const { clusterUid, log } = this.#options;
    const next = await this.#keepNextKey(stored);
    const request = { credential, certificateRequest: next.request, clusterUid };
    try {
      const { certificate } = await onOwnConnection(this.#options.relay, (relay) =>
        unaryCall(relay, EnrolmentService.method.join, request, { peerHop: Hop.RELAY }),
      );
      const joined = await this.#keep(next.key, certificate, next.stored);
      this.#joinedAtMs = Date.now();
      const { cluster, expiresAtMs } = this.#use(joined);
      log.info({ cluster, by: credential.case, until: new Date(expiresAtMs) }, "joined");
      return joined;
    } catch (error) {
      if (error instanceof FairleadError && error.code === ErrorCode.TOKEN_REFUSED) {
        this.#refusedToken = credential.value;
      }
      throw error;
    }
  }

  /** The clock here may be wrong, or the relay may take again what it refused: it is for the relay to say. */
  #lastResort(kept: Current | undefined): Current {
    if (kept === undefined) {
      const sentence =
        "the agent has no certificate, and no join token that it could get one by; make one with `fairlead clusters join-token CLUSTER` and give it as --join-token-file";
      throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.AGENT, sentence);
    }
    this.#use(kept);
    return kept;
  }

  #use(current: Current): AgentIdentity {
    this.#current = current;
    this.#isRefused = false;
    return current.identity;
  }

  async #keepNextKey(stored: Stored) {
    const { key, request } = await requestedKey(stored.state.nextKey);
    if (stored.state.nextKey !== undefined) return { key, request, stored };
    return { key, request, stored: await this.#options.store.save({ ...stored.state, nextKey: key }, stored.version) };
  }

  async #keep(key: string, issued: IssuedCertificate | undefined, { version }: Stored): Promise<Current> {
    const certificate = new X509Certificate(issued?.certificate ?? new Uint8Array()).toString();
    const identity = new AgentIdentity({ certificate, key });
    return { identity, stored: await this.#options.store.save({ certificate, key }, version) };
  }
}

function currentOf(stored: Stored): Current | undefined {
  const { certificate, key }: AgentState = stored.state;
  if (certificate === undefined || key === undefined) return undefined;
  return { identity: new AgentIdentity({ certificate, key }), stored };
}

function hasExpired({ identity }: Current): boolean {
  return identity.expiresAtMs <= Date.now();
}
