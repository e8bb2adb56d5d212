import { ErrorCode, FairleadError, failExchange, Hop, type Lane, type RequestHead } from "@fairlead/protocol";
import type { AnswerHead } from "./answer-parser.ts";
import { type BodyFrame, BodyFramer, OffsetCheck } from "./bodies.ts";
import { BodyLength } from "./body-length.ts";
import { rawValues } from "./header-lines.ts";
import { requestText } from "./headers.ts";
import { Heartbeats } from "./heartbeats.ts";
import type { Outbound } from "./outbound-lane.ts";
import { responseHead } from "./response-head.ts";
import { apiserverError, type Upstream } from "./upstream.ts";
import type { UpstreamConnection, UpstreamEvents } from "./upstream-connection.ts";

/**
 * Frames in, HTTP out, for an upgrade: on a connection of its own, never a kept one, so that a refused upgrade leaves
 * nothing that could be used again. After the 101 both directions are raw bytes with a half-close each.
 */
export class OutboundUpgrade implements Outbound, UpstreamEvents {
  readonly #lane: Lane;
  readonly #head: RequestHead;
  readonly #upstream: Upstream;
  readonly #since: { startedAt: number; sentAt: number };
  readonly #connection: UpstreamConnection;
  readonly #framer: BodyFramer;
  readonly #offsets = new OffsetCheck(Hop.AGENT);
  #state: "asked" | "upgraded" | "refused" = "asked";
  #heartbeats: Heartbeats | undefined;
  /** Whether the lane takes what the cluster says. */
  #flows = true;
  #ended = false;
  #over = false;

  /** See OutboundHttp. */
  constructor(lane: Lane, head: RequestHead, upstream: Upstream, startedAt: number) {
    this.#lane = lane;
    this.#head = head;
    this.#upstream = upstream;
    this.#since = { startedAt, sentAt: performance.now() };
    this.#framer = new BodyFramer((frame) => lane.sendResponse(frame));
    const framing = BodyLength.ofWhole(head.method, 0);
    const upgrade = ["Connection", "Upgrade", "Upgrade", head.upgrade];
    const text = requestText(head.method, head.target, [...upstream.headers, ...framing, ...upgrade]);
    this.#connection = upstream.pool.open(true);
    this.#connection.ask(head.method, text, undefined, false, this);
  }

  body(frame: BodyFrame): void {
    if (this.#over) return;
    try {
      this.#passOn(frame);
    } catch (error) {
      this.#fail(FairleadError.from(error, Hop.IDENTITY_PROXY));
    }
  }

  #passOn(frame: BodyFrame): void {
    const bytes = this.#offsets.accept(frame.value);
    if (this.#state !== "upgraded") {
      // Written before the 101, these bytes would be read as a request of their own.
      if (bytes.length === 0 && this.#state === "refused") return;
      const sentence = "bytes came before the cluster had answered the upgrade";
      return this.#fail(new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.AGENT, sentence));
    }
    this.#toCluster(this.#heartbeats?.fromClient(bytes, this.#flows) ?? bytes);
    if (this.#flows && !this.#ended) this.#toClient(this.#heartbeats?.takeDue());
    if (frame.case !== "end") return;
    this.#toCluster(this.#heartbeats?.clientEnded());
    this.#connection.halfClose();
  }

  #toCluster(bytes: Uint8Array | undefined): void {
    if (bytes && !this.#connection.write(bytes)) this.#lane.pause();
  }

  #toClient(bytes: Uint8Array | undefined): void {
    if (!bytes || this.#framer.data(bytes)) return;
    this.#flows = false;
    this.#connection.pause();
  }

  laneDrained(): void {
    if (this.#over || this.#ended) return;
    this.#flows = true;
    this.#toClient(this.#heartbeats?.takeDue());
    if (this.#flows) this.#connection.resume();
  }

  finish(): void {
    this.#heartbeats?.stop();
  }

  cancel(): void {
    this.#over = true;
    this.#heartbeats?.stop();
    this.#connection.destroy();
  }

  informational(): void {} // a client that upgrades reads none

  head({ status, reason, rawHeaders }: AnswerHead): void {
    this.#upstream.answered?.(status);
    const refused = status === 101 ? undefined : this.#upstream.judge?.(status);
    if (refused) return this.#fail(refused);
    this.#state = status === 101 ? "upgraded" : "refused";
    const head = responseHead(this.#head, status, reason, rawHeaders, this.#since);
    if (status === 101) {
      head.upgrade = rawValues(rawHeaders, "upgrade")[0] ?? this.#head.upgrade;
      this.#heartbeats = Heartbeats.for(this.#head, head);
    }
    this.#lane.sendResponse({ case: "head", value: head });
  }

  data(bytes: Buffer): void {
    if (this.#over) return;
    this.#toClient(this.#heartbeats?.fromCluster(bytes) ?? bytes);
    if (this.#flows) this.#toClient(this.#heartbeats?.takeDue());
  }

  end(): void {
    if (this.#over || this.#ended) return;
    this.#toClient(this.#heartbeats?.clusterEnded());
    this.#ended = true;
    this.#framer.end();
    if (this.#state === "refused") this.#connection.destroy();
  }

  drained(): void {
    this.#lane.resume();
  }

  failed(cause: Error): void {
    this.#fail(apiserverError(cause, this.#connection.made));
  }

  #fail(error: FairleadError): void {
    if (this.#over || this.#ended) return;
    this.cancel();
    failExchange(this.#lane, error);
  }
}
