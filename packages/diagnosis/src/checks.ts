/** What is looked at, by the names that programs know, and what people read. */
export const TITLES = {
  name: "name",
  connection: "connection",
  proxy: "HTTP proxy",
  tls: "TLS",
  http2: "HTTP/2",
  grpc: "gRPC",
  clock: "clock",
  version: "version",
  authentication: "your token",
  certificate: "agent's certificate",
  cluster: "cluster",
  sessions: "long connections",
  agent: "agent",
  "identity-proxy": "identity proxy",
  apiserver: "apiserver",
  rights: "impersonation",
  request: "a request",
} as const;

/** The name of a check. Stable: programs read it in the JSON. */
export type Check = keyof typeof TITLES;

/** What is wrong, where, how it shows and what to do. */
export class Failure extends Error {
  override readonly name = "Failure";
  /** Which check it is that fails; it need not be the one that found out. */
  readonly check: Check;
  /** What was seen, as it was said. May come from a stranger, and have anything in it. */
  readonly seen: string;
  /** What to do, in our words. */
  readonly remedy: string;

  constructor(check: Check, seen: string, remedy: string, options?: ErrorOptions) {
    super(`${TITLES[check]}: ${seen}`, options);
    this.check = check;
    this.seen = seen;
    this.remedy = remedy;
  }
}

/** What an error of unknown origin says. node puts those of several addresses into one without a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(reasonOf).join("; ");
  const { message } = Object(error);
  return typeof message === "string" ? message : String(error);
}
