import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { clusterUri } from "@fairlead/agent-identity";
import { CertificateAuthority } from "@fairlead/certificates";
import {
  EnrolmentService,
  ErrorCode,
  FairleadError,
  GrpcServerStream,
  Hop,
  type JoinRequest,
  methodPath,
  type PeerAddress,
} from "@fairlead/protocol";
import { type AgentState, StateChanged, type StateStore, type Stored } from "./state-store.ts";

const { join, renew } = EnrolmentService.method;

/** What an agent joins: a server of EnrolmentService on loopback that takes what its test says. */
export class EnrolmentFixture {
  /** Certificates' life from the next one on, in milliseconds. */
  lifetimeMs = 3_600_000;
  /** What the next calls are refused with. */
  refusal: FairleadError | undefined;
  /** Runs between a certificate's making and its answer. */
  beforeAnswer: () => void | Promise<void> = () => {};
  readonly joins: JoinRequest[] = [];
  /** The proofs of the renewals. */
  readonly renewals: string[] = [];
  readonly #authority: CertificateAuthority;
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  private constructor(authority: CertificateAuthority, server: Http2Server) {
    this.#authority = authority;
    this.#server = server;
    server.on("session", (session) => this.#sessions.add(session));
    server.on("stream", (stream, headers) => this.#serve(stream, headers[":path"], headers.authorization ?? ""));
  }

  static async start(): Promise<EnrolmentFixture> {
    const server = createServer();
    const fixture = new EnrolmentFixture(await CertificateAuthority.create("agents", 1), server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return fixture;
  }

  readonly address = (): PeerAddress => ({ host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port });

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  static refused(sentence: string): FairleadError {
    return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, sentence);
  }

  #serve(stream: ServerHttp2Stream, path: string | undefined, authorization: string): void {
    if (path === methodPath(join)) {
      this.#answer(stream, join, (request) => {
        this.joins.push(request);
        return this.#issue(request.certificateRequest);
      });
    } else if (path === methodPath(renew)) {
      this.#answer(stream, renew, (request) => {
        this.renewals.push(authorization);
        return this.#issue(request.certificateRequest);
      });
    } else stream.close();
  }

  #answer<Input extends DescMessage, Output extends DescMessage>(
    stream: ServerHttp2Stream,
    { input, output }: { input: Input; output: Output },
    handle: (request: MessageShape<Input>) => Promise<MessageInitShape<Output>>,
  ): void {
    const call = new GrpcServerStream(stream, Hop.AGENT);
    const reply = async (message: Uint8Array): Promise<void> => {
      if (this.refusal) return call.refuse(this.refusal);
      const answer = await handle(fromBinary(input, message));
      await this.beforeAnswer();
      call.send(toBinary(output, create(output, answer)));
      call.end();
    };
    call.start({ message: (message) => void reply(message), ended: () => {}, drained: () => {}, closed: () => {} });
  }

  async #issue(request: Uint8Array) {
    const says = { commonName: "prod", uri: clusterUri("prod"), lifetimeMs: this.lifetimeMs };
    return { certificate: { certificate: await this.#authority.certify(request, says), cluster: "prod" } };
  }

  /** Cuts all connections, as a network does. */
  cut(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

/** A state that replicas share, as they share a Secret. */
export class SharedState implements StateStore {
  state: AgentState = {};
  /** Throws what {@link save} is to fail with. */
  failing: (state: AgentState) => void = () => {};
  #version = 0;

  async load(): Promise<Stored> {
    return { state: { ...this.state }, version: String(this.#version) };
  }

  async save(state: AgentState, version: string): Promise<Stored> {
    this.failing(state);
    if (version !== String(this.#version)) throw new StateChanged();
    this.state = state;
    this.#version++;
    return this.load();
  }
}
