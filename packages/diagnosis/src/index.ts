export { type Check, Failure, reasonOf, TITLES } from "./checks.ts";
export { clusterSteps } from "./cluster-steps.ts";
export { type CheckResult, type Diagnosis, diagnose, type Step } from "./diagnose.ts";
export { holdLane } from "./hold-lane.ts";
export { failureOf } from "./problem.ts";
export type { RelayAddress } from "./relay-route.ts";
export { relaySteps } from "./relay-steps.ts";
export { jsonReport, textReport } from "./report.ts";
export { sessionsLook } from "./sessions.ts";
