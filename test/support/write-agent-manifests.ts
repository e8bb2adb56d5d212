import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MANIFESTS, renderAgentManifests } from "./agent-manifests.ts";

const dir = await mkdtemp(join(tmpdir(), "fairlead-manifests-"));
await writeFile(MANIFESTS, await renderAgentManifests(dir));
await rm(dir, { recursive: true });
