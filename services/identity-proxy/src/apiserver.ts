import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { dirname, resolve } from "node:path";
import type { ConnectionOptions } from "node:tls";
import { type UpstreamAddress, UpstreamPool } from "@fairlead/http-bridge";
import { ErrorCode, FairleadError, Hop, hostAndPortOf } from "@fairlead/protocol";
import { KubeConfig, loadYaml } from "@kubernetes/client-node";

/** How long our own credential is used before it is read again, in milliseconds. A service account's token rotates hourly. */
const CREDENTIAL_MS = 30_000;

/** The way to the apiserver as it is now. */
export interface ApiserverConnection {
  /** The value of the Host header. */
  host: string;
  address: UpstreamAddress & { tls: ConnectionOptions };
  pool: UpstreamPool;
  /** Connections of its own for requests with a caller's credential: they show no client certificate. */
  callersPool: UpstreamPool;
  /** This process's own bearer token, if that is how it authenticates. */
  token: string | undefined;
}

/** Where the apiserver is and who this process is to it. */
export interface ApiserverSource {
  /** A kubeconfig; undefined for the service account of the pod that this process runs in. */
  kubeconfig: string | undefined;
  /** The kubeconfig's context; undefined for its current one. */
  context: string | undefined;
}

/** The cluster's apiserver and the identity proxy's own credential for it, read again as it rotates. */
export class Apiserver {
  readonly #source: ApiserverSource;
  #current: ApiserverConnection | undefined;
  #untilMs = 0;

  /** @throws Error if the kubeconfig cannot be read, or would skip the apiserver's verification */
  constructor(source: ApiserverSource) {
    this.#source = source;
    addressOf(loadKubeconfig(source));
  }

  /** The way to the apiserver as it was read just before; undefined: ask {@link connection}. */
  get current(): ApiserverConnection | undefined {
    return this.#untilMs > Date.now() ? this.#current : undefined;
  }

  /** The way to the apiserver. @throws FairleadError OWN_CREDENTIAL_REFUSED if the credential cannot be read */
  async connection(): Promise<ApiserverConnection> {
    if (this.current) return this.current;
    try {
      this.#current = await this.#read();
      this.#untilMs = Date.now() + CREDENTIAL_MS;
      return this.#current;
    } catch (cause) {
      const sentence = "the identity proxy cannot read its own credential for the apiserver; check its service account";
      throw new FairleadError(ErrorCode.OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, sentence, { cause });
    }
  }

  /**
   * Judges an answer's status. The caller's token was verified before, so a 401 means our own: it is read again for
   * the next request, and the caller is not told to sign in.
   */
  judge(status: number): FairleadError | undefined {
    if (status !== 401) return undefined;
    this.#untilMs = 0;
    const sentence = "the apiserver refuses the identity proxy's own credential, not yours; check its service account";
    return new FairleadError(ErrorCode.OWN_CREDENTIAL_REFUSED, Hop.IDENTITY_PROXY, sentence);
  }

  /** How many connections there are, in use or idle. */
  get sockets(): number {
    return (this.#current?.pool.size ?? 0) + (this.#current?.callersPool.size ?? 0);
  }

  async #read(): Promise<ApiserverConnection> {
    const kubeconfig = loadKubeconfig(this.#source);
    const url = addressOf(kubeconfig);
    const options: RequestOptions & { headers: Record<string, string> } = { headers: {} };
    await kubeconfig.applyToHTTPSOptions(options);
    const { ca, cert, key, servername } = options;
    const tls: ConnectionOptions = {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(servername && { servername }),
    };
    const address = { ...hostAndPortOf(url), tls };
    return {
      host: url.host,
      address,
      ...this.#poolsFor(address),
      token: options.headers.Authorization?.replace(/^Bearer /, "").trim(),
    };
  }

  /** The pools live on for as long as the address and the TLS material are the same. */
  #poolsFor(address: ApiserverConnection["address"]): Pick<ApiserverConnection, "pool" | "callersPool"> {
    if (this.#current && JSON.stringify(this.#current.address) === JSON.stringify(address)) {
      const { pool, callersPool } = this.#current;
      return { pool, callersPool };
    }
    this.#current?.pool.retire();
    this.#current?.callersPool.retire();
    const { cert: _cert, key: _key, ...verification } = address.tls;
    return { pool: new UpstreamPool(address), callersPool: new UpstreamPool({ ...address, tls: verification }) };
  }
}

function loadKubeconfig({ kubeconfig, context }: ApiserverSource): KubeConfig {
  const loaded = new KubeConfig();
  if (kubeconfig === undefined) loaded.loadFromCluster();
  else loaded.loadFromFile(kubeconfig);
  if (context !== undefined) loaded.setCurrentContext(context);
  if (kubeconfig !== undefined) readTokenFile(loaded, kubeconfig);
  return loaded;
}

/** kubectl's `tokenFile`, which counts before `token` (client-go, clientcmd); client-node knows only `token-file`. */
function readTokenFile(loaded: KubeConfig, kubeconfig: string): void {
  const current = loaded.getCurrentUser();
  const { users = [] } = loadYaml<{ users?: { name: string; user?: { tokenFile?: string } }[] }>(
    readFileSync(kubeconfig, "utf8"),
  );
  const file = users.find(({ name }) => name === current?.name)?.user?.tokenFile;
  if (file === undefined) return;
  const token = readFileSync(resolve(dirname(kubeconfig), file), "utf8");
  loaded.users = loaded.users.map((user) => (user === current ? { ...user, token } : user));
}

/** @throws Error for a cluster that cannot be reached safely */
function addressOf(kubeconfig: KubeConfig): URL {
  const cluster = kubeconfig.getCurrentCluster();
  if (!cluster) throw new Error("the kubeconfig has no current cluster");
  if (cluster.skipTLSVerify)
    throw new Error("the kubeconfig skips the apiserver's verification; give its certificate-authority");
  if (!/^https:/.test(cluster.server) || !URL.canParse(cluster.server))
    throw new Error("there is no https:// address of an apiserver; give --kubeconfig outside a pod");
  const url = new URL(cluster.server);
  if (url.pathname !== "/")
    throw new Error(`the apiserver's address ${cluster.server} has a path, which is not supported`);
  return url;
}
