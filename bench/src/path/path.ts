import type { Endpoint } from "../load/endpoint.ts";

/** One way from the load to the origin. */
export interface Path {
  /** "direct", "fairlead", "kubectl proxy", or the peer's name. */
  readonly name: string;
  readonly endpoint: Endpoint;
  /** For kubectl through this path; undefined where kubectl cannot be pointed at it. */
  readonly kubeconfig: string | undefined;
  /** Pid by name of the processes that the path consists of, without the origin's. */
  readonly processes: Readonly<Record<string, number>>;
  /** Where the path's processes that are ours tell their metrics, by name as it is now; undefined for other paths. */
  privateUrls?(): Readonly<Record<string, string>>;
  stop(): Promise<void>;
}
