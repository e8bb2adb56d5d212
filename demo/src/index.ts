export { prepareCluster } from "./impersonator.ts";
export type { DemoPerson } from "./issuer.ts";
export { type ProcessName, Tunnel, type TunnelOptions } from "./tunnel.ts";
