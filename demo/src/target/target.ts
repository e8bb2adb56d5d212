/** The cluster that the demo leads to. */
export interface Target {
  /** What it is, for people. */
  description: string;
  /** Its name at the relay: a DNS label. */
  cluster: string;
  /** A kubeconfig whose user can only impersonate, for the identity proxy. */
  impersonatorKubeconfig: string;
  /** Pids of the processes that are the cluster, by name; none for a cluster of the user's own. */
  pids: Record<string, number>;
  /** Ends and removes what was started and made for it. */
  remove(): Promise<void>;
}
