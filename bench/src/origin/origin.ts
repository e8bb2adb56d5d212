import type { Endpoint } from "../load/endpoint.ts";

/** What all paths lead to. */
export interface Origin {
  readonly name: "kube-apiserver" | "fast origin";
  /** The person's own kubeconfig, which goes straight to it. */
  readonly kubeconfig: string;
  /** The same, for the load. */
  readonly endpoint: Endpoint;
  /** A kubeconfig whose user can only impersonate, for the identity proxy. */
  readonly impersonatorKubeconfig: string;
  /** The administrator's kubeconfig; undefined where there is none. */
  readonly adminKubeconfig: string | undefined;
  /** What a small GET asks for: about 1 KiB. */
  readonly smallGet: string;
  /** Pid by name of the processes that serve it. */
  readonly processes: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}
