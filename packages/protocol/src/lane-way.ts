/**
 * Metadata of an agent's call of AccessService.Exchange at the identity proxy: by which way the lane's requests come.
 * Both are claims, for the cluster's audit log, and nothing is decided by them.
 */
export const LANE_WAY_METADATA = {
  /** The relay as the agent dials it, such as https://relay.example.com. */
  relay: "fairlead-relay",
  /** Names the agent's session at the relay, and is not its secret. */
  session: "fairlead-session",
} as const;
