export type { Logger } from "pino";
export { NODE_FLAGS } from "./node-flags.ts";
export { openPrivatePort, splitAddress } from "./private-port.ts";
export { addProcessOptions, type ServiceCommandOptions } from "./process-options.ts";
export {
  type ProcessOptions,
  type RunningService,
  refuseUnverifiedTls,
  runService,
  whenParentIsGone,
} from "./run-service.ts";
