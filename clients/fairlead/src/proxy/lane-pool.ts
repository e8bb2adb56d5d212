import {
  AccessService,
  ErrorCode,
  FairleadError,
  GrpcClientStream,
  type GrpcConnection,
  Hop,
  IdleLanes,
  Lane,
  methodPath,
  Patience,
  stopped,
} from "@fairlead/protocol";
import { relayUnreachable } from "../relay/relay-connection.ts";

const EXCHANGE_PATH = methodPath(AccessService.method.exchange);
/** Between two attempts to reach a relay that is away, in milliseconds. */
const RETRY_MS = 150;
/** How long one attempt may take, in milliseconds. A round trip of a lane and a TLS handshake fit easily. */
const ATTEMPT_MS = 3_000;

/** The client proxy's lanes to the relay: reused, opened as they are needed, with one opened ahead. */
export class LanePool {
  readonly #url: URL;
  readonly #connect: (goingAway: () => void) => GrpcConnection;
  readonly #lanes = new Set<Lane>();
  readonly #idle = new IdleLanes((lane) => this.#lanes.delete(lane));
  #connection: GrpcConnection | undefined;
  #opening = 0;
  readonly #patience = new Patience();

  /**
   * @param url the relay's address, for error sentences
   * @param connect makes a connection to the relay, which tells when the relay is stopping
   */
  constructor(url: URL, connect: (goingAway: () => void) => GrpcConnection) {
    this.#url = url;
    this.#connect = connect;
  }

  get counts(): { lanes: number; idle_lanes: number } {
    return { lanes: this.#lanes.size, idle_lanes: this.#idle.count };
  }

  /**
   * An idle lane, or a new one. A relay that is away is waited for as {@link Patience} says; nothing was sent until
   * then.
   *
   * @param gone whether nobody waits for the lane any more
   * @throws FairleadError UNREACHABLE, or what the relay refuses the lane with
   */
  async take(gone: () => boolean): Promise<Lane> {
    for (let attempt = 0; ; attempt++) {
      const lane = this.#idle.take();
      if (lane) {
        this.#openAhead();
        return lane;
      }
      try {
        const opened = await this.#open();
        this.#patience.met();
        this.#openAhead();
        return opened;
      } catch (error) {
        const failure = FairleadError.from(error, Hop.RELAY);
        const leftMs = attempt === 0 ? this.#patience.begin() : this.#patience.left();
        if (failure.code !== ErrorCode.UNREACHABLE || gone() || leftMs === 0) throw failure;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** Takes a lane back that is free again. */
  release(lane: Lane): void {
    if (!lane.closed) this.#idle.keep(lane);
  }

  /** Ends all lanes. */
  close(): void {
    this.#idle.stop();
    for (const lane of this.#lanes) lane.reset(stopped(Hop.CLIENT_PROXY));
    this.#connection?.close();
  }

  /** The next request is not to wait for a lane's round trip. */
  #openAhead(): void {
    if (this.#idle.count > 0 || this.#opening > 0) return;
    this.#open().then(
      (lane) => this.release(lane),
      () => {}, // the next request tries again, and tells
    );
  }

  /** Opens a lane and waits for its `ready`: from then on the relay is known to be there. */
  async #open(): Promise<Lane> {
    this.#connection ??= this.#connect(() => this.#idle.retire(this.#lanes));
    const stream = new GrpcClientStream(this.#connection, EXCHANGE_PATH, { peerHop: Hop.RELAY });
    const lane = new Lane(stream, "requester", Hop.RELAY);
    const { promise, resolve, reject } = Promise.withResolvers<Lane>();
    this.#opening++;
    this.#lanes.add(lane);
    lane.onClose(() => this.#forget(lane));
    const timer = setTimeout(() => lane.reset(relayUnreachable(this.#url, "no answer in time")), ATTEMPT_MS);
    lane.start({
      frame: () => resolve(lane), // the first frame is `ready`
      drained: () => {},
      idle: () => {},
      closed: (error) => reject(this.#unreachable(error)),
    });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#opening--;
    }
  }

  #unreachable(error: FairleadError | undefined): FairleadError {
    if (error && error.code !== ErrorCode.CONNECTION_LOST) return error;
    const reason = error?.cause instanceof Error ? error.cause.message : error?.message;
    return relayUnreachable(this.#url, reason ?? "it ended the connection");
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane);
    this.#idle.forget(lane);
  }
}
