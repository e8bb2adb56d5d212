import { create } from "@bufbuild/protobuf";
import type { AgentIdentity } from "@fairlead/agent-identity";
import {
  AgentFrameSchema,
  decodeRequest,
  type FairleadError,
  FrameStream,
  GrpcClientStream,
  type GrpcConnection,
  Hop,
  Lane,
  methodPath,
  type Registered,
  type RelayFrame,
  RelayFrameSchema,
  type RequestFrame,
  ResponseHeadSchema,
  TunnelService,
  WholeResponseSchema,
} from "@fairlead/protocol";
import { Mailbox } from "./mailbox-fixture.ts";

type Client = GrpcConnection;

/** An agent that is attached, and the lanes that it offers. */
interface AttachedAgent {
  agent: AgentFixture;
  lanes: ServedLane[];
}

/** An agent as any gRPC client could be one: its control stream, and the lanes that it offers. */
export class AgentFixture {
  readonly control: FrameStream<typeof AgentFrameSchema, typeof RelayFrameSchema>;
  /** What the relay said after `registered`. */
  readonly told = new Mailbox<RelayFrame["frame"]>();
  /** With what the relay ended the control stream. */
  readonly ended = new Mailbox<FairleadError | undefined>();
  readonly #client: Client;
  readonly #registered = Promise.withResolvers<Registered>();

  constructor(client: Client, proof: string | undefined) {
    this.#client = client;
    const options = { peerHop: Hop.RELAY, ...(proof !== undefined && { token: proof }) };
    const stream = new GrpcClientStream(client, methodPath(TunnelService.method.attach), options);
    this.control = new FrameStream(stream, AgentFrameSchema, RelayFrameSchema, Hop.RELAY);
    this.#registered.promise.catch(() => {});
    this.control.start({
      frame: ({ frame }) => {
        if (frame.case === "registered") this.#registered.resolve(frame.value);
        else this.told.put(frame);
      },
      closed: (error) => {
        this.#registered.reject(error);
        this.ended.put(error);
      },
    });
  }

  /** Opens the control stream. */
  static async open(client: Client, identity: AgentIdentity): Promise<AgentFixture> {
    return new AgentFixture(client, await identity.prove(TunnelService.method.attach));
  }

  /** Registers, and offers lanes. @returns them */
  static async attach(client: Client, identity: AgentIdentity, lanes = 1): Promise<AttachedAgent> {
    const agent = await AgentFixture.open(client, identity);
    agent.register();
    const { sessionId } = await agent.registered;
    agent.control.send({ frame: { case: "condition", value: { report: { kubernetesVersion: "v1.31.4+k3s1" } } } });
    return { agent, lanes: Array.from({ length: lanes }, () => agent.openLane(sessionId)) };
  }

  register(clusterUid = ""): void {
    this.control.send({ frame: { case: "register", value: { agentVersion: "0.0.1-test", clusterUid } } });
  }

  /** Resolves when the relay took the agent in; rejects with its refusal. */
  get registered(): Promise<Registered> {
    return this.#registered.promise;
  }

  openLane(sessionId: Uint8Array): ServedLane {
    return new ServedLane(this.#client, sessionId);
  }
}

/** An agent's end of one lane. */
export class ServedLane {
  readonly lane: Lane;
  readonly requests = new Mailbox<RequestFrame["frame"]>();
  readonly closes = new Mailbox<FairleadError | undefined>();

  constructor(client: Client, sessionId: Uint8Array) {
    const stream = new GrpcClientStream(client, methodPath(TunnelService.method.serve), { peerHop: Hop.RELAY });
    this.lane = new Lane(stream, "server", Hop.RELAY);
    this.lane.start({
      frame: (_field, message) => this.requests.put(decodeRequest(message)),
      drained: () => {},
      idle: () => {},
      closed: (error) => this.closes.put(error),
    });
    this.lane.sendReady(sessionId);
  }

  /** Answers the exchange under way with a whole response. */
  answer(body: string, status = 200): void {
    const head = create(ResponseHeadSchema, { status });
    this.lane.sendResponse({ case: "whole", value: create(WholeResponseSchema, { head, body: Buffer.from(body) }) });
  }

  /** Takes the next request, which must be a whole one, and answers it. @returns the request's body */
  async serve(body: string): Promise<string> {
    const frame = await this.requests.take();
    if (frame.case !== "whole") throw new Error(`a ${frame.case} came`);
    this.answer(body);
    return Buffer.from(frame.value.body).toString();
  }
}
