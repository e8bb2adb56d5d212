export { TunnelProcess } from "./child-process.ts";
export type { DemoPerson } from "./issuer.ts";
export { prepareCluster } from "./target/prepare-cluster.ts";
export { type ProcessName, Tunnel, type TunnelOptions } from "./tunnel.ts";
