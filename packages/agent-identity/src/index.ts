export { AgentIdentity, type AgentIdentityFiles } from "./agent-identity.ts";
export { clusterOf, clusterUri } from "./cluster-uri.ts";
export { AGENT_PROOF } from "./proof.ts";
