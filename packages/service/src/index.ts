export type { Logger } from "pino";
export { openPrivatePort, splitAddress } from "./private-port.ts";
export {
  type ProcessOptions,
  type RunningService,
  refuseUnverifiedTls,
  runService,
  whenParentIsGone,
} from "./run-service.ts";
