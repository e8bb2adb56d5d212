import type { ServerHttp2Stream } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  decodeRequest,
  ErrorCode,
  FairleadError,
  GrpcServerStream,
  Hop,
  ResponseFrameSchema,
} from "@fairlead/protocol";
import type { AgentLane, TakerEvents } from "./agent-lanes.ts";
import { type Attempt, headOf, isOpening, type Opening, type Request, type Response } from "./attempt.ts";

/** What a hostile relay's calls need of it. */
export interface ClientCallOptions {
  /** What is done to the exchange that begins now. */
  attempt(): Attempt;
  seen(frame: Opening): void;
  take(events: TakerEvents): Promise<AgentLane>;
}

/** A client's lane at a hostile relay: each exchange of it goes on by a lane of an agent's own, changed on its way. */
export class ClientCall {
  readonly #options: ClientCallOptions;
  readonly #call: GrpcServerStream;
  #attempt: Attempt = {};
  #lane: Promise<AgentLane> | undefined;

  constructor(stream: ServerHttp2Stream, options: ClientCallOptions) {
    this.#options = options;
    this.#call = new GrpcServerStream(stream, Hop.CLIENT_PROXY);
    this.#call.start({
      message: (message) => this.#onRequest(decodeRequest(message)),
      ended: () => this.#call.end(),
      drained: () => {},
      closed: () => this.#forgetLane(),
    });
    this.#send({ case: "ready", value: { $typeName: "fairlead.tunnel.v1alpha1.Ready", sessionId: new Uint8Array() } });
  }

  #onRequest(frame: Request): void {
    if (isOpening(frame)) {
      this.#options.seen(frame);
      this.#attempt = this.#options.attempt();
      this.#forgetLane();
      const invented = this.#attempt.answer?.(headOf(frame));
      if (invented) return this.#sendAll(invented);
      this.#lane = this.#takeLane(this.#attempt);
    }
    const frames = this.#attempt.request?.(frame) ?? [frame];
    void this.#lane?.then((lane) => {
      for (const each of frames) lane.send(each);
    });
  }

  /** The exchange before it is over for the client, perhaps only for the client. */
  #forgetLane(): void {
    void this.#lane?.then((lane) => lane.reset());
    this.#lane = undefined;
  }

  #takeLane(attempt: Attempt): Promise<AgentLane> {
    let over = false;
    const taken = this.#options.take({
      frame: (frame) => {
        over = frame.case === "whole" || frame.case === "end" || frame.case === "error";
        this.#onResponse(attempt, frame);
        if (over) void taken.then((lane) => lane.end());
      },
      closed: () => {
        if (!over && this.#lane === taken) this.#cut();
      },
    });
    return taken;
  }

  #onResponse(attempt: Attempt, frame: Response): void {
    const frames = attempt.response?.(frame) ?? [frame];
    if (frames === "cut") return this.#cut();
    this.#sendAll(frames);
  }

  #sendAll(frames: readonly Response[]): void {
    for (const each of frames) this.#send(each);
  }

  #send(frame: Response): void {
    this.#call.send(toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame })));
  }

  #cut(): void {
    this.#call.reset(new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "cut by a hostile relay"));
  }
}
