import { createRequire } from "node:module";
import { join } from "node:path";
import { CHARTS, Helm } from "./helm.ts";

/** Where `fairlead connect` reads them. */
export const MANIFESTS = createRequire(import.meta.url).resolve("@fairlead/cli/manifests/agent.yaml");

/** What the agent's chart makes of placeholders, for a cluster whose operator has no helm. @param dir for helm's caches */
export async function renderAgentManifests(dir: string): Promise<string> {
  const helm = await Helm.find(dir);
  const values = ["--values", join(CHARTS, "placeholders.yaml")];
  const chart = join(CHARTS, "fairlead-agent");
  const rendered = await helm.run(["template", "fairlead", chart, "--namespace", "placeholder-namespace", ...values]);
  return `# Made by npm run manifests from deploy/charts/fairlead-agent.\n${rendered}`;
}
