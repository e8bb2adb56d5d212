export type { Logger } from "pino";
export { openPrivatePort, splitAddress } from "./private-port.ts";
export { type ProcessOptions, refuseUnverifiedTls, type RunningService, runService } from "./run-service.ts";
