import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { CertificateAuthority } from "@fairlead/certificates";
import { stringify } from "yaml";
import { TunnelProcess } from "./child-process.ts";
import { runCli } from "./cli.ts";
import { type DemoPerson, type RunningIssuer, startIssuer } from "./issuer.ts";

const require = createRequire(import.meta.url);

/** What tokens of the demo are for. */
const AUDIENCE = "fairlead";
/** Keeps the relay: makes clusters and rules. Reaches no cluster. */
const ADMINISTRATOR: DemoPerson = { email: "administrator@fairlead.dev", groups: [] };

/** How to start a tunnel. */
export interface TunnelOptions {
  /** A folder for keys, database, sockets and logs. */
  folder: string;
  /** The cluster's name at the relay. */
  cluster: string;
  /** The person that uses it. */
  person: DemoPerson;
  /** Other people that the issuer knows. */
  others?: readonly DemoPerson[];
  /** A kubeconfig whose user can only impersonate. */
  impersonatorKubeconfig: string;
  /** Issuers that count besides the embedded one, in the form of AuthenticationConfiguration's `jwt`. */
  moreIssuers?: { relay?: readonly object[]; identityProxy?: readonly object[] };
  /** How the identity proxy maps groups, in the form of AuthenticationConfiguration; by the claim `groups` otherwise. */
  groupsMapping?: object;
  /** More of the relay's configuration, such as its limits (docs/reference/relay-config.md). */
  relayConfig?: object;
  /**
   * Lets a process reach the relay by another address, such as one behind a slow network; by the relay's own otherwise.
   *
   * @param url the relay's own
   */
  relayUrlFor?(name: "client proxy" | "agent", url: string): Promise<string>;
  /** An address of this machine by which relay and issuer are reached, such as from pods; loopback otherwise. */
  host?: string;
  /** More of the arguments of each process. */
  args?(name: ProcessName): readonly string[];
  /** More of the environment of each process, such as node's own options. */
  env?(name: ProcessName): Record<string, string>;
}

/** The names of the tunnel's processes, in the order of a request. */
export type ProcessName = "client proxy" | "relay" | "agent" | "identity proxy";

/** The whole path, each part the real process: client proxy, relay, agent, identity proxy; and an issuer. */
export class Tunnel {
  readonly processes: Record<ProcessName, TunnelProcess>;
  /** The private port of each process: /healthz, /readyz, /metrics. */
  readonly privateUrls: Partial<Record<ProcessName, string>> = {};
  readonly issuer: RunningIssuer;
  readonly #options: TunnelOptions;
  readonly #authority: CertificateAuthority;
  /** Client proxies of others than the person that the tunnel is for. */
  readonly #othersProxies: TunnelProcess[] = [];
  #relayUrl = "";
  readonly #relayUrls = { "client proxy": "", agent: "" };
  #stopped = false;

  private constructor(options: TunnelOptions, authority: CertificateAuthority, issuer: RunningIssuer) {
    this.#options = options;
    this.#authority = authority;
    this.issuer = issuer;
    const socket = `unix:${this.file("identity-proxy.sock")}`;
    const relay = (from: "client proxy" | "agent") => [
      ...["--relay", this.#relayUrls[from], "--relay-ca", this.file("ca.crt")],
    ];
    this.processes = {
      relay: this.#process("relay", "@fairlead/relay/main", () => ["--config", this.file("relay.yaml")]),
      "identity proxy": this.#process("identity proxy", "@fairlead/identity-proxy/main", () => [
        ...[
          "--listen",
          socket,
          "--cluster",
          options.cluster,
          "--authentication",
          this.file("identity-proxy-authentication.yaml"),
        ],
        ...["--kubeconfig", options.impersonatorKubeconfig],
      ]),
      agent: this.#process("agent", "@fairlead/agent/main", () => [
        ...relay("agent"),
        ...["--join-token-file", this.file("join-token"), "--state-folder", this.file("agent")],
        ...["--identity-proxy", socket],
      ]),
      "client proxy": this.#process("client proxy", "@fairlead/cli/main", () => [
        ...["proxy", options.cluster, ...relay("client proxy"), "--token-file", this.tokenFile(options.person)],
        ...["--file", this.kubeconfig, "--output", "json"],
      ]),
    };
  }

  /** Makes the keys and starts the issuer; {@link start} does the rest. */
  static async create(options: TunnelOptions): Promise<Tunnel> {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const authority = await CertificateAuthority.create("fairlead demo authority", 30);
    const people = [options.person, ADMINISTRATOR, ...(options.others ?? [])];
    const tunnel = new Tunnel(options, authority, await startIssuer(authority, AUDIENCE, people, options.host));
    await tunnel.#writeConfiguration(people);
    return tunnel;
  }

  /** Starts all processes, makes the cluster and a rule for the person. What had started is ended if one fails. */
  async start(): Promise<void> {
    try {
      await Promise.all([this.#startRelay(), this.startProcess("identity proxy")]);
      await this.#makeCluster();
      await this.startProcess("agent");
      await this.startProcess("client proxy");
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Starts the relay alone, and makes the rule: cluster, agent and identity proxy are made by other means. */
  async startRelay(): Promise<void> {
    await this.#startRelay();
    await this.#makeRule();
  }

  /** The cluster's name at the relay. */
  get cluster(): string {
    return this.#options.cluster;
  }

  get relayUrl(): string {
    return this.#relayUrl;
  }

  get #host(): string {
    return this.#options.host ?? "127.0.0.1";
  }

  /** The identity proxy's own kubeconfig. */
  get impersonatorKubeconfig(): string {
    return this.#options.impersonatorKubeconfig;
  }

  /** The client proxy's kubeconfig. */
  get kubeconfig(): string {
    return this.file("kubeconfig");
  }

  /** A file of the tunnel's folder. */
  file(name: string): string {
    return join(this.#options.folder, name);
  }

  /** The file with a person's token. */
  tokenFile({ email }: DemoPerson): string {
    return this.file(`token-${email}`);
  }

  /** Keeps the relay. */
  get administrator(): DemoPerson {
    return ADMINISTRATOR;
  }

  /**
   * Runs `fairlead` against this relay; for the person that the tunnel is for, by the address that their client proxy has.
   *
   * @returns what it prints
   * @throws Error with what it says if it fails
   */
  async cli(person: DemoPerson, ...args: string[]): Promise<string> {
    const url = person === this.#options.person ? this.#relayUrls["client proxy"] : this.#relayUrl;
    const relay = ["--relay", url, "--relay-ca", this.file("ca.crt")];
    return runCli([...args, ...relay, "--token-file", this.tokenFile(person)], this.#environment());
  }

  /** Starts a process, again if it had ended, and notes where its private port is. */
  async startProcess(name: ProcessName): Promise<Record<string, unknown>> {
    if (this.#stopped) throw new Error("the tunnel was stopped");
    const ready = await this.processes[name].start();
    this.privateUrls[name] = String(ready.private);
    return ready;
  }

  /**
   * Lets one of the others in: a rule, and a client proxy of their own.
   *
   * @param port a free port of this machine: the one that goes with the cluster is taken by the person's own proxy
   * @returns their kubeconfig
   */
  async letIn(other: DemoPerson, port: number): Promise<string> {
    const { cluster } = this.#options;
    const rule = other.email.replace(/[^a-z0-9]+/g, "-");
    await this.cli(ADMINISTRATOR, "rules", "create", rule, "--user", other.email, "--cluster", cluster);
    const kubeconfig = this.file(`kubeconfig-${other.email}`);
    const proxy = new TunnelProcess({
      name: `client proxy of ${other.email}`,
      main: require.resolve("@fairlead/cli/main"),
      args: () => [
        ...["proxy", cluster, "--relay", this.#relayUrl, "--relay-ca", this.file("ca.crt")],
        ...["--token-file", this.tokenFile(other), "--file", kubeconfig, "--output", "json"],
        ...["--port", String(port)],
      ],
      env: () => ({ XDG_STATE_HOME: this.file(`state-${other.email}`) }),
      logFile: this.file(`client-proxy-${other.email}.log`),
    });
    this.#othersProxies.push(proxy);
    await proxy.start();
    return kubeconfig;
  }

  /** Ends all processes. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const all = [...Object.values(this.processes), ...this.#othersProxies];
    await Promise.all(all.map((process) => process.end()));
    this.issuer.stop();
  }

  async #startRelay(): Promise<void> {
    const relay = await this.startProcess("relay");
    this.#relayUrl = String(relay.url);
    for (const from of ["client proxy", "agent"] as const) {
      this.#relayUrls[from] = (await this.#options.relayUrlFor?.(from, this.#relayUrl)) ?? this.#relayUrl;
    }
    await this.#writeRelayConfig(new URL(this.#relayUrl).host); // the same port when it is started again
  }

  async #makeCluster(): Promise<void> {
    const { cluster } = this.#options;
    const created = JSON.parse(await this.cli(ADMINISTRATOR, "clusters", "create", cluster, "--output", "json"));
    await writeFile(this.file("join-token"), created.joinToken, { mode: 0o600 });
    await this.#makeRule();
  }

  /** The names of clusters, where the relay's configuration has a domain for them. */
  #directNames(): string[] {
    const { domain } = Object(Object(this.#options.relayConfig).direct);
    return domain === undefined ? [] : [`*.${domain}`];
  }

  async #makeRule(): Promise<void> {
    const { cluster, person } = this.#options;
    await this.cli(ADMINISTRATOR, "rules", "create", "everybody", "--user", person.email, "--cluster", cluster);
  }

  async #writeConfiguration(people: readonly DemoPerson[]): Promise<void> {
    const { cert, key } = await this.#authority.issue({
      commonName: "fairlead demo relay",
      hosts: [this.#host, ...this.#directNames()],
      days: 30,
    });
    const files = { "ca.crt": this.#authority.pem, "relay.crt": cert, "relay.key": key };
    const embedded = {
      issuer: { url: this.issuer.url, certificateAuthority: this.#authority.pem, audiences: [AUDIENCE] },
      claimMappings: { username: { claim: "email", prefix: "" }, groups: { claim: "groups", prefix: "" } },
    };
    const { relay = [], identityProxy = [] } = this.#options.moreIssuers ?? {};
    await this.#writeAuthentication("relay-authentication.yaml", [embedded, ...relay]);
    const { groups } = embedded.claimMappings;
    const mappings = { ...embedded.claimMappings, groups: this.#options.groupsMapping ?? groups };
    const inCluster = [{ ...embedded, claimMappings: mappings }, ...identityProxy];
    await this.#writeAuthentication("identity-proxy-authentication.yaml", inCluster);
    for (const [name, text] of Object.entries(files)) await writeFile(this.file(name), text, { mode: 0o600 });
    for (const one of people) await writeFile(this.tokenFile(one), await this.issuer.tokenFor(one), { mode: 0o600 });
    await this.#writeRelayConfig(`${this.#host}:0`);
  }

  async #writeAuthentication(name: string, jwt: readonly object[]): Promise<void> {
    const configuration = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt };
    await writeFile(this.file(name), stringify(configuration), { mode: 0o600 });
  }

  async #writeRelayConfig(listen: string): Promise<void> {
    const config = {
      listen,
      tls: { certFile: "relay.crt", keyFile: "relay.key" },
      database: "relay.db",
      authentication: "relay-authentication.yaml",
      administrators: { users: [ADMINISTRATOR.email] },
      ...this.#options.relayConfig,
    };
    await writeFile(this.file("relay.yaml"), stringify(config), { mode: 0o600 });
  }

  #process(name: ProcessName, main: string, args: () => string[]): TunnelProcess {
    return new TunnelProcess({
      name,
      main: require.resolve(main),
      args: () => [
        ...args(),
        ...["--private", "127.0.0.1:0", ...(name === "client proxy" ? [] : ["--grace", "2"])],
        ...(this.#options.args?.(name) ?? []),
      ],
      env: () => ({ ...this.#environment(), ...this.#options.env?.(name) }),
      logFile: this.file(`${name.replace(" ", "-")}.log`),
    });
  }

  #environment(): Record<string, string> {
    return { XDG_STATE_HOME: this.file("state") };
  }
}
