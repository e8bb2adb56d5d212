import { readFile } from "node:fs/promises";
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { clusterUri } from "@fairlead/agent-identity";
import { CertificateAuthority } from "@fairlead/certificates";
import {
  AccessService,
  ClusterService,
  EnrolmentService,
  GetKubeconfigResponseSchema,
  GrpcServerStream,
  Hop,
  JoinRequestSchema,
  JoinResponseSchema,
  LANE_SERVER_OPTIONS,
  MAX_HEAD_BYTES,
  methodPath,
  TunnelService,
} from "@fairlead/protocol";
import { AgentLanes } from "./agent-lanes.ts";
import type { Attempt, Opening, Request, Response } from "./attempt.ts";
import { ClientCall } from "./client-call.ts";

/** How long the certificates of its agents last, in milliseconds. */
const LIFETIME_MS = 3_600_000;

/**
 * A relay that was changed to be hostile. It speaks the relay's contract, has the relay's own certificate and sits where the
 * relay does: a real client proxy and real agents dial it. It checks nobody, and does what the test tells it to.
 */
export class ChangedRelay {
  /** What it does to the exchanges that begin from now on. */
  attempt: Attempt = {};
  /** The requests that have come, as they came. */
  readonly seen: Opening[] = [];
  readonly agents = new AgentLanes();
  readonly url: string;
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #cluster: string;
  readonly #authority: CertificateAuthority;
  readonly #clusterOf: (joinToken: string) => string;

  private constructor(
    server: Http2SecureServer,
    authority: CertificateAuthority,
    cluster: string,
    clusterOf: (joinToken: string) => string,
  ) {
    this.#server = server;
    this.#authority = authority;
    this.#cluster = cluster;
    this.#clusterOf = clusterOf;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session)).on("error", () => {});
    });
    server.on("stream", (stream, headers) => this.#serve(stream, headers[":path"], headers.authorization));
  }

  /**
   * @param folder the tunnel's, in which the relay's certificate and key lie
   * @param cluster the cluster that clients ask for
   * @param clusterOf the cluster of each agent, by its join token
   */
  static async start(folder: string, cluster: string, clusterOf: (joinToken: string) => string): Promise<ChangedRelay> {
    const [cert, key] = await Promise.all(["relay.crt", "relay.key"].map((name) => readFile(join(folder, name))));
    const settings = { ...LANE_SERVER_OPTIONS.settings, maxHeaderListSize: MAX_HEAD_BYTES };
    const server = createSecureServer({ ...LANE_SERVER_OPTIONS, settings, cert, key });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ChangedRelay(server, await CertificateAuthority.create("agents", 1), cluster, clusterOf);
  }

  /**
   * Sends a request of its own making, and returns what is answered: the frames up to the last one, or up to the lane's end.
   *
   * @param frames a frame, or bytes that are none
   */
  async send(frames: readonly (Request | Uint8Array)[], cluster = this.#cluster): Promise<Response[]> {
    const answer: Response[] = [];
    const { promise, resolve } = Promise.withResolvers<Response[]>();
    const lane = await this.agents.take(cluster, {
      frame: (frame) => {
        answer.push(frame);
        if (frame.case === "whole" || frame.case === "end" || frame.case === "error") resolve(answer);
      },
      closed: () => resolve(answer),
    });
    for (const frame of frames) {
      if (frame instanceof Uint8Array) lane.sendBytes(frame);
      else lane.send(frame);
    }
    await promise;
    lane.end();
    return answer;
  }

  stop(): void {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
  }

  #serve(stream: ServerHttp2Stream, path: string | undefined, authorization: string | undefined): void {
    if (path === methodPath(TunnelService.method.attach)) return this.agents.attach(stream, authorization);
    if (path === methodPath(TunnelService.method.serve)) return this.agents.serve(stream);
    if (path === methodPath(EnrolmentService.method.join)) return this.#join(stream);
    if (path === methodPath(ClusterService.method.getKubeconfig)) return this.#nameContext(stream);
    if (path !== methodPath(AccessService.method.exchange)) return stream.close();
    new ClientCall(stream, {
      attempt: () => this.attempt,
      seen: (frame) => this.seen.push(frame),
      take: (events) => this.agents.take(this.#cluster, events),
    });
  }

  /** `EnrolmentService.Join`, for whoever comes. */
  #join(stream: ServerHttp2Stream): void {
    const call = new GrpcServerStream(stream, Hop.AGENT);
    const answer = async (message: Uint8Array): Promise<void> => {
      const { certificateRequest, credential } = fromBinary(JoinRequestSchema, message);
      const cluster = this.#clusterOf(credential.value ?? "");
      const says = { commonName: cluster, uri: clusterUri(cluster), lifetimeMs: LIFETIME_MS };
      const certificate = { cluster, certificate: await this.#authority.certify(certificateRequest, says) };
      call.send(toBinary(JoinResponseSchema, create(JoinResponseSchema, { certificate })));
      call.end();
    };
    call.start({ message: (message) => void answer(message), ended: () => {}, drained: () => {}, closed: () => {} });
  }

  /** `ClusterService.GetKubeconfig`, which the client proxy asks when it starts. */
  #nameContext(stream: ServerHttp2Stream): void {
    const call = new GrpcServerStream(stream, Hop.CLIENT_PROXY);
    const answer = create(GetKubeconfigResponseSchema, { contextName: `fairlead-${this.#cluster}` });
    call.start({
      message: () => call.send(toBinary(GetKubeconfigResponseSchema, answer)),
      ended: () => call.end(),
      drained: () => {},
      closed: () => {},
    });
  }
}
