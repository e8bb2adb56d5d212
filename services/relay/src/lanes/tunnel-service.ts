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
  isOlder,
  Lane,
  type Register,
  RelayFrameSchema,
  TunnelService,
} from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { ClusterStates } from "../clusters/cluster-states.ts";
import type { Clusters } from "../clusters/clusters.ts";
import type { AgentProofVerifier, ProvenAgent } from "../enrolment/agent-proof-verifier.ts";
import type { AgentRecord, Agents } from "../enrolment/agents.ts";
import { Attachment } from "./attachment.ts";
import type { AttachmentEnds } from "./attachment-ends.ts";
import type { Attachments } from "./attachments.ts";

/** How often agents send heartbeats, in milliseconds. */
const HEARTBEAT_INTERVAL_MS = 10_000;
/** An agent that is silent for longer is gone, in milliseconds. */
const SILENCE_MS = 3 * HEARTBEAT_INTERVAL_MS;

/** What agents are served by. */
export interface TunnelServiceParts {
  proofs: AgentProofVerifier;
  agents: Agents;
  clusters: Clusters;
  attachments: Attachments;
  states: ClusterStates;
  ends: AttachmentEnds;
  /** The oldest version that may attach; empty: any. */
  oldestAgent: string;
  log: Logger;
}

/** Serves the two calls that agents make: their control stream and their lanes. */
export class TunnelServiceHandler {
  readonly #proofs: AgentProofVerifier;
  readonly #agents: Agents;
  readonly #clusters: Clusters;
  readonly #attachments: Attachments;
  readonly #states: ClusterStates;
  readonly #ends: AttachmentEnds;
  readonly #oldestAgent: string;
  readonly #log: Logger;

  constructor({ proofs, agents, clusters, attachments, states, ends, oldestAgent, log }: TunnelServiceParts) {
    this.#proofs = proofs;
    this.#agents = agents;
    this.#clusters = clusters;
    this.#attachments = attachments;
    this.#states = states;
    this.#ends = ends;
    this.#oldestAgent = oldestAgent;
    this.#log = log;
  }

  /** `TunnelService.Attach`. @param proof the bearer token of the call's metadata */
  attach(stream: ServerHttp2Stream, proof: string | undefined): void {
    this.#attach(stream, proof).catch((error: unknown) => {
      this.#log.error({ err: error }, "an agent cannot be taken in");
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
  }

  async #attach(stream: ServerHttp2Stream, proof: string | undefined): Promise<void> {
    const call = new GrpcServerStream(stream, Hop.AGENT);
    const control = new FrameStream(call, RelayFrameSchema, AgentFrameSchema, Hop.AGENT);
    const refuse = (error: unknown): void => control.refuse(FairleadError.from(error, Hop.RELAY));
    const agent = await this.#proofs.verify(proof, TunnelService.method.attach).catch(refuse);
    if (!agent) return;
    await this.#agents.catchUp(agent);
    let attachment: Attachment | undefined;
    let silence: NodeJS.Timeout | undefined;
    control.start({
      frame: (frame) => {
        silence?.refresh();
        if (frame.frame.case !== "register") return this.#onFrame(attachment, frame);
        try {
          attachment = this.#register(agent, frame.frame.value, control);
          silence = setTimeout(() => attachment?.fallenSilent(silent()), SILENCE_MS);
        } catch (error) {
          this.#log.warn({ cluster: agent.cluster, err: error }, "an agent is refused");
          this.#states.refused(agent.cluster, FairleadError.from(error, Hop.RELAY).message);
          refuse(error);
        }
      },
      closed: (error) => {
        clearTimeout(silence);
        if (attachment) this.#onClosed(attachment, error);
      },
    });
  }

  /** Ends the attachments whose agents' certificates have expired or count no more. @param nowMs since the epoch */
  endExpired(nowMs: number): void {
    for (const attachment of this.#attachments.all()) {
      try {
        checkCurrent(this.#agents.of(attachment.cluster), attachment, nowMs);
      } catch (error) {
        attachment.end(FairleadError.from(error, Hop.RELAY));
      }
    }
    this.#states.refreshAll(nowMs);
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

  /** @throws FairleadError if the agent is too old, its key does not count any more, or it is in another cluster */
  #register(
    agent: ProvenAgent,
    { agentVersion, clusterUid }: Register,
    control: FrameStream<typeof RelayFrameSchema, typeof AgentFrameSchema>,
  ): Attachment {
    this.#attachments.checkTakesAgents();
    if (isOlder(agentVersion, this.#oldestAgent)) throw tooOld(agentVersion, this.#oldestAgent);
    const { joinId } = this.#agents.attach(agent, clusterUid);
    const { cluster } = agent;
    const attachment = new Attachment(cluster, joinId, agentVersion, control);
    const { sessionId } = attachment;
    const value = { sessionId, cluster, heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS, idleLanes: IDLE_LANES };
    control.send({ frame: { case: "registered", value } });
    this.#attachments.add(attachment);
    this.#states.refresh(cluster);
    this.#note(attachment);
    this.#log.info({ cluster, agentVersion }, "agent attached");
    return attachment;
  }

  #onFrame(attachment: Attachment | undefined, { frame }: AgentFrame): void {
    if (frame.case === "heartbeat") attachment?.heartbeat();
    else if (frame.case === "drain" && attachment) {
      attachment.retire();
      this.#states.ended(attachment.cluster, "the agent is stopping");
    } else if (frame.case === "condition" && attachment) {
      const { problem, report } = frame.value;
      attachment.problem = problem && FairleadError.fromMessage(problem);
      attachment.report = report;
      attachment.hasLooked = true;
      this.#states.refresh(attachment.cluster);
    }
  }

  #onClosed(attachment: Attachment, error: FairleadError | undefined): void {
    this.#attachments.remove(attachment);
    if (this.#clusters.get(attachment.cluster)) this.#ends.note(attachment, error, Date.now());
    attachment.end(error ?? new FairleadError(ErrorCode.CONNECTION_LOST, Hop.AGENT, "the agent left"));
    this.#states.ended(attachment.cluster, error?.message ?? "the agent left");
    this.#note(attachment);
    this.#log.info({ cluster: attachment.cluster, reason: error?.message }, "agent gone");
  }

  #note({ cluster }: Attachment): void {
    this.#clusters
      .seen(cluster)
      .catch((error: unknown) => this.#log.error({ err: error, cluster }, "cannot note when the agent was seen"));
  }
}

/** @throws FairleadError if what an agent attached with does not count any more */
function checkCurrent(record: AgentRecord | undefined, { joinId, cluster }: Attachment, nowMs: number): void {
  if (record?.joinId !== joinId) {
    const sentence = `the cluster ${cluster} was removed, or another agent has joined for it`;
    throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
  }
  if (record.expiresAtMs > nowMs) return;
  const sentence = `the agent's certificate has expired, and was not renewed; it joins again by its service account, or needs a join token: \`fairlead clusters join-token ${cluster}\``;
  throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
}

function tooOld(version: string, oldest: string): FairleadError {
  const sentence = `the agent's version ${JSON.stringify(version)} is older than ${oldest}, the oldest that this relay takes; update the agent`;
  return new FairleadError(ErrorCode.VERSION_TOO_OLD, Hop.RELAY, sentence);
}

function silent(): FairleadError {
  return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.AGENT, "the agent sent no heartbeat in time");
}
