import { constants, type ServerHttp2Stream } from "node:http2";
import {
  type AgentFrame,
  AgentFrameSchema,
  decodeResponse,
  ErrorCode,
  FairleadError,
  FrameStream,
  GrpcServerStream,
  Hop,
  IDLE_LANES,
  Lane,
  RelayFrameSchema,
} from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Clusters } from "../clusters/clusters.ts";
import { Attachment } from "./attachment.ts";
import type { Attachments } from "./attachments.ts";

/** How often agents send heartbeats, in milliseconds. */
const HEARTBEAT_INTERVAL_MS = 10_000;
/** An agent that is silent for longer is gone, in milliseconds. */
const SILENCE_MS = 3 * HEARTBEAT_INTERVAL_MS;

/** Serves the two calls that agents make: their control stream and their lanes. */
export class TunnelServiceHandler {
  readonly #clusters: Clusters;
  readonly #attachments: Attachments;
  readonly #log: Logger;

  constructor(clusters: Clusters, attachments: Attachments, log: Logger) {
    this.#clusters = clusters;
    this.#attachments = attachments;
    this.#log = log;
  }

  /** `TunnelService.Attach`. @param token the bearer token of the call's metadata */
  attach(stream: ServerHttp2Stream, token: string | undefined): void {
    this.#attach(stream, token).catch((error: unknown) => {
      this.#log.error({ err: error }, "an agent cannot be taken in");
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
  }

  async #attach(stream: ServerHttp2Stream, token: string | undefined): Promise<void> {
    const call = new GrpcServerStream(stream, Hop.AGENT);
    const control = new FrameStream(call, RelayFrameSchema, AgentFrameSchema, Hop.AGENT);
    const name = token === undefined ? undefined : await this.#clusters.ofAgent(token);
    const cluster = name === undefined ? undefined : this.#clusters.get(name);
    if (cluster === undefined) return control.refuse(notOurs());
    let attachment: Attachment | undefined;
    let silence: NodeJS.Timeout | undefined;
    control.start({
      frame: (frame) => {
        silence?.refresh();
        if (frame.frame.case !== "register") return this.#onFrame(attachment, frame);
        // An agent may have kept quiet until its cluster was removed, and one of the same name made.
        if (this.#clusters.get(cluster.name) !== cluster) return control.refuse(notOurs());
        attachment = this.#register(cluster.name, frame.frame.value.agentVersion, control);
        silence = setTimeout(() => attachment?.end(silent()), SILENCE_MS);
      },
      closed: (error) => {
        clearTimeout(silence);
        if (attachment) this.#onClosed(attachment, error);
      },
    });
  }

  /** `TunnelService.Serve`. The lane counts once its `ready` names a session. */
  serve(stream: ServerHttp2Stream): void {
    const lane = new Lane(new GrpcServerStream(stream, Hop.AGENT), "requester", Hop.AGENT);
    lane.start({
      frame: (_field, message) => {
        const frame = decodeResponse(message);
        const attachment = frame.case === "ready" ? this.#attachments.ofSession(frame.value.sessionId) : undefined;
        if (attachment) {
          attachment.add(lane);
          return this.#attachments.offer({ lane, attachment });
        }
        lane.refuse(new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "the lane names no session of this relay"));
      },
      drained: () => {},
      idle: () => {},
      closed: () => {},
    });
  }

  #register(
    cluster: string,
    agentVersion: string,
    control: FrameStream<typeof RelayFrameSchema, typeof AgentFrameSchema>,
  ): Attachment {
    const attachment = new Attachment(cluster, agentVersion, control);
    const { sessionId } = attachment;
    const value = { sessionId, cluster, heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS, idleLanes: IDLE_LANES };
    control.send({ frame: { case: "registered", value } });
    this.#attachments.add(attachment);
    this.#note(attachment);
    this.#log.info({ cluster, agentVersion }, "agent attached");
    return attachment;
  }

  #onFrame(attachment: Attachment | undefined, { frame }: AgentFrame): void {
    if (frame.case === "heartbeat") attachment?.heartbeat();
    else if (frame.case === "drain") attachment?.agentDrains();
    else if (frame.case === "condition" && attachment) {
      const { problem } = frame.value;
      attachment.problem = problem && FairleadError.fromMessage(problem);
    }
  }

  #onClosed(attachment: Attachment, error: FairleadError | undefined): void {
    this.#attachments.remove(attachment);
    attachment.end(error ?? new FairleadError(ErrorCode.CONNECTION_LOST, Hop.AGENT, "the agent left"));
    this.#note(attachment);
    this.#log.info({ cluster: attachment.cluster, reason: error?.message }, "agent gone");
  }

  #note({ cluster, agentVersion }: Attachment): void {
    this.#clusters
      .seen(cluster, agentVersion)
      .catch((error: unknown) => this.#log.error({ err: error, cluster }, "cannot note when the agent was seen"));
  }
}

function notOurs(): FairleadError {
  const sentence = "the agent's token is not one of this relay's; make the cluster anew and give the agent its token";
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
}

function silent(): FairleadError {
  return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.AGENT, "the agent sent no heartbeat in time");
}
