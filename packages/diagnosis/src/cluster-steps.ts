import type { ClusterReport, ErrorMessage } from "@fairlead/protocol";
import type { Step } from "./diagnose.ts";
import { failureOf } from "./problem.ts";

/** What was reported of a cluster: by its agent to the relay, or by the identity proxy to the agent. */
export interface ClusterFindings {
  problem?: ErrorMessage | undefined;
  report?: Pick<ClusterReport, "kubernetesVersion" | "capped"> | undefined;
}

/**
 * The steps behind the agent, as they were reported.
 *
 * @param findings asks for the report; once
 */
export function clusterSteps(findings: () => Promise<ClusterFindings>): Step[] {
  let found: Promise<ClusterFindings> | undefined;
  const ask = async (): Promise<ClusterFindings> => {
    found ??= findings();
    const all = await found;
    if (all.problem) throw failureOf(all.problem, true);
    return all;
  };
  return [
    { check: "identity-proxy", look: async () => ask().then(() => "answers") },
    {
      check: "apiserver",
      look: async () => {
        const { report } = await ask();
        return `ready${report?.kubernetesVersion ? `, ${report.kubernetesVersion}` : ""}`;
      },
    },
    {
      check: "rights",
      look: async () => {
        const { report } = await ask();
        return `the identity proxy may impersonate, and nothing else${report?.capped ? "; capped" : ""}`;
      },
    },
  ];
}
