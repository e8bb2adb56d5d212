import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "@jest/globals";
import { MANIFESTS, renderAgentManifests } from "../support/agent-manifests.ts";

it("what `fairlead connect` applies is what the agent's chart makes: else run npm run manifests", async () => {
  const dir = await mkdtemp(join(tmpdir(), "fairlead-manifests-"));
  expect(await readFile(MANIFESTS, "utf8")).toBe(await renderAgentManifests(dir));
  await rm(dir, { recursive: true });
}, 600_000);
