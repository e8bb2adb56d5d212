import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { AgentIdentity } from "@fairlead/agent-identity";
import { CertificateAuthority, requestedKey } from "@fairlead/certificates";
import {
  AccessRuleService,
  CallerService,
  ClusterService,
  EnrolmentService,
  GrpcConnection,
  type IssuedCertificate,
  RelayService,
} from "@fairlead/protocol";
import type { Logger, RunningService } from "@fairlead/service";
import { stringify } from "yaml";
import { readRelayConfig } from "./config.ts";
import { IssuerFixture } from "./issuer-fixture.ts";
import type { Limits } from "./limits/limits.ts";
import { startRelay } from "./relay.ts";

/** What the relay's certificate is, and who signed it; PEM. */
export interface RelayTls {
  cert: string;
  key: string;
  ca: string;
}

/** A certificate for relays on loopback, of an authority of its own. */
export async function issueRelayTls(): Promise<RelayTls> {
  const authority = await CertificateAuthority.create("test relays", 1);
  const own = await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 });
  return { ...own, ca: authority.pem };
}

/** A caller's view of the control plane. */
export interface Rpc {
  clusters: Client<typeof ClusterService>;
  accessRules: Client<typeof AccessRuleService>;
  enrolment: Client<typeof EnrolmentService>;
  relay: Client<typeof RelayService>;
  caller: Client<typeof CallerService>;
}

/** A whole relay in this process, on a free port, with an issuer and a folder of its own. `root` administers it. */
export class RelayFixture {
  readonly folder: string;
  readonly issuer: IssuerFixture;
  /** What it logged, a line of JSON each. */
  readonly logged: string[] = [];
  /** How long agents' certificates last; counts from the next {@link startAgain}. */
  certificateSeconds = 86_400;
  /** The oldest versions that it supports; likewise. */
  oldestVersions: { client?: string; agent?: string } = {};
  /** How people get a token, as the configuration has it. */
  login: object | undefined;
  /** Where its clusters can be reached without a client proxy; likewise. */
  direct: { enabled?: boolean; domain?: string } = {};
  readonly #tls: RelayTls;
  readonly #sessions: Http2SessionManager[] = [];
  readonly #connections: GrpcConnection[] = [];
  #limits: Partial<Limits> = {};
  #service: RunningService | undefined;

  private constructor(folder: string, issuer: IssuerFixture, tls: RelayTls) {
    this.folder = folder;
    this.issuer = issuer;
    this.#tls = tls;
  }

  /** @param limits those that are not the defaults */
  static async start(tls: RelayTls, limits: Partial<Limits> = {}): Promise<RelayFixture> {
    const folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
    const fixture = new RelayFixture(folder, await IssuerFixture.start(tls, tls.ca), tls);
    fixture.#limits = limits;
    await fixture.startAgain();
    return fixture;
  }

  /** Starts it on what it kept, on another port. */
  async startAgain(): Promise<void> {
    await this.#writeConfig();
    const config = await readRelayConfig(join(this.folder, "relay.yaml"));
    this.#service = await startRelay(config, this.#log());
  }

  /** Who signed its certificate, PEM. */
  get ca(): string {
    return this.#tls.ca;
  }

  get url(): URL {
    return new URL(String(this.#running.ready.url));
  }

  /** Tells the counts also while it stops. */
  countsSource(): () => Record<string, number> {
    const service = this.#running;
    return () => service.counts();
  }

  get counts(): Record<string, number> {
    return this.#running.counts();
  }

  /** How many exchanges a limit has refused. */
  refusedBy(limit: keyof Limits): number | undefined {
    return this.#running.totals?.()[0]?.values[limit];
  }

  stop(graceMs: number): Promise<void> {
    const service = this.#running;
    this.#service = undefined;
    return service.stop(graceMs);
  }

  /** A connection of its own, as each agent and each client has one; it is closed with the relay. */
  connect(): GrpcConnection {
    const { hostname: host, port } = this.url;
    const connection = new GrpcConnection(() => ({ host, port: Number(port), tls: { ca: this.#tls.ca } }));
    this.#connections.push(connection);
    return connection;
  }

  /** Closes the connections of agents and clients. */
  disconnect(): void {
    for (const connection of this.#connections.splice(0)) connection.close();
  }

  /** The control plane, as this token's bearer sees it. */
  rpc(token: string | undefined): Rpc {
    const authorize: Interceptor = (next) => (request) => {
      if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const sessionManager = new Http2SessionManager(this.url.origin, {}, { ca: this.#tls.ca });
    this.#sessions.push(sessionManager);
    const transport = createGrpcTransport({ baseUrl: this.url.origin, sessionManager, interceptors: [authorize] });
    return {
      clusters: createClient(ClusterService, transport),
      accessRules: createClient(AccessRuleService, transport),
      enrolment: createClient(EnrolmentService, transport),
      relay: createClient(RelayService, transport),
      caller: createClient(CallerService, transport),
    };
  }

  /** The control plane as a user sees it. */
  as(user: string, ...groups: string[]): Rpc {
    return this.rpc(this.token(user, ...groups));
  }

  token(sub: string, ...groups: string[]): string {
    return this.issuer.token({ sub, groups });
  }

  /** Makes a cluster that Jane may reach, and joins an agent for it. @returns what that one attaches with */
  async makeCluster(name: string, users = ["jane"]): Promise<AgentIdentity> {
    const root = this.as("root");
    const { joinToken } = await root.clusters.createCluster({ name });
    if (users.length > 0) await root.accessRules.createAccessRule({ accessRule: { name, users, clusters: [name] } });
    return this.join(joinToken?.token ?? "");
  }

  /** Joins an agent by a join token, or by its service account's. */
  async join(
    value: string,
    clusterUid = "",
    by: "joinToken" | "serviceAccountToken" = "joinToken",
  ): Promise<AgentIdentity> {
    const { key, request: certificateRequest } = await requestedKey();
    const credential = { case: by, value };
    const joined = await this.rpc(undefined).enrolment.join({ credential, certificateRequest, clusterUid });
    return new AgentIdentity({ key, certificate: pemOf(joined.certificate) });
  }

  /** Closes the connections to the control plane. */
  hangUp(): void {
    for (const session of this.#sessions.splice(0)) session.abort();
  }

  async close(): Promise<void> {
    this.disconnect();
    this.hangUp();
    if (this.#service) await this.stop(0);
    await this.issuer.close();
    await rm(this.folder, { recursive: true, maxRetries: 5 }); // a relay that could not start may still write
  }

  get #running(): RunningService {
    if (this.#service === undefined) throw new Error("the relay does not run");
    return this.#service;
  }

  async #writeConfig(): Promise<void> {
    const { url } = this.issuer;
    const issuer = { url, audiences: ["fairlead"], certificateAuthority: this.#tls.ca };
    const mapping = { username: { claim: "sub", prefix: "" }, groups: { claim: "groups", prefix: "" } };
    const files: Record<string, string> = {
      "tls.crt": this.#tls.cert,
      "tls.key": this.#tls.key,
      "authentication.yaml": stringify({
        apiVersion: "apiserver.config.k8s.io/v1",
        kind: "AuthenticationConfiguration",
        jwt: [{ issuer, claimMappings: mapping }],
      }),
      "relay.yaml": stringify({
        listen: "127.0.0.1:0",
        tls: { certFile: "tls.crt", keyFile: "tls.key" },
        database: "relay.sqlite",
        authentication: "authentication.yaml",
        administrators: { users: ["root"] },
        agents: { certificateSeconds: this.certificateSeconds },
        limits: this.#limits,
        oldestVersions: this.oldestVersions,
        ...(this.login && { login: this.login }),
        direct: this.direct,
      }),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.folder, name), text);
  }

  #log(): Logger {
    const level = (name: string) => (fields: unknown, text?: string) =>
      void this.logged.push(JSON.stringify({ level: name, text, fields }, withErrors));
    const log = { debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") };
    return log as unknown as Logger;
  }
}

/** The certificate of an answer, PEM. */
export function pemOf(issued: IssuedCertificate | undefined): string {
  return new X509Certificate(issued?.certificate ?? new Uint8Array()).toString();
}

function withErrors(_key: string, value: unknown): unknown {
  return value instanceof Error ? `${value.stack} ${value.cause ?? ""}` : value;
}
