import {
  AccessService,
  type FairleadError,
  GrpcClientStream,
  type GrpcConnection,
  Hop,
  Lane,
  methodPath,
  splice,
  TunnelService,
} from "@fairlead/protocol";

const SERVE_PATH = methodPath(TunnelService.method.serve);
const EXCHANGE_PATH = methodPath(AccessService.method.exchange);

/** What a pair needs to open, and whom it tells. */
export interface LanePairOptions {
  relay: GrpcConnection;
  identityProxy: GrpcConnection;
  sessionId: Uint8Array;
  /** What the identity proxy is told about the lane's way, as metadata. */
  way: Readonly<Record<string, string>>;
  /** The identity proxy answered, and the lane was offered to the relay. */
  opened(): void;
  /** The pair was idle and has an exchange now. */
  busy(): void;
  /** The pair had an exchange and is idle again. */
  idle(): void;
  /** The pair is gone. `unserved`: the identity proxy never answered. */
  closed(pair: LanePair, unserved: FairleadError | undefined): void;
}

/**
 * A lane from the relay joined for good to a lane of the identity proxy. It is offered to the relay only when the
 * identity proxy has said that it is ready, so a request never meets an agent that cannot serve it.
 */
export class LanePair {
  readonly #options: LanePairOptions;
  readonly #outbound: Lane;
  #inbound: Lane | undefined;
  #closed = false;
  #used = false;

  constructor(options: LanePairOptions) {
    this.#options = options;
    const stream = new GrpcClientStream(options.identityProxy, EXCHANGE_PATH, {
      peerHop: Hop.IDENTITY_PROXY,
      metadata: options.way,
    });
    this.#outbound = new Lane(stream, "requester", Hop.IDENTITY_PROXY);
    this.#outbound.start({
      frame: () => this.#offer(), // the first frame is `ready`
      drained: () => {},
      idle: () => {},
      closed: (error) => this.#close(error),
    });
  }

  /** Whether the pair has an exchange or has had one. */
  get used(): boolean {
    return this.#used;
  }

  /** Ends an idle pair in good order, or a busy one at once. */
  end(reason: FairleadError): void {
    for (const lane of [this.#inbound, this.#outbound]) {
      if (lane?.inExchange) lane.reset(reason);
      else lane?.end();
    }
  }

  #offer(): void {
    const { relay, sessionId } = this.#options;
    const stream = new GrpcClientStream(relay, SERVE_PATH, { peerHop: Hop.RELAY });
    const inbound = new Lane(stream, "server", Hop.RELAY);
    this.#inbound = inbound;
    splice(inbound, this.#outbound, {
      hop: Hop.AGENT,
      began: () => {
        this.#used = true;
        this.#options.busy();
      },
      inboundIdle: () => this.#options.idle(),
      closed: () => {
        inbound.end();
        this.#close();
      },
    });
    inbound.sendReady(sessionId);
    this.#options.opened();
  }

  #close(unserved?: FairleadError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.closed(this, unserved);
  }
}
