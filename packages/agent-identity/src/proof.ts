/** What an agent's proof of its key is, for who makes it and who judges it: a JWT that names its certificate (`x5c`). */
export const AGENT_PROOF = {
  /** Its `typ`. */
  type: "fairlead-agent+jwt",
  algorithm: "ES256",
  /** For how long it counts, in seconds. */
  lifetimeSeconds: 60,
} as const;
