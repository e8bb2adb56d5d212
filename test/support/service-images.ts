import { mkdtemp } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { runProgram } from "./program.ts";
import type { RealNode } from "./real-node.ts";

const services = ["relay", "agent", "identity-proxy"] as const;
const [repository, tag] = ["local/fairlead", "test"];
const architecture = process.arch === "arm64" ? "arm64" : "amd64";

/** What pods name the services' images: REPOSITORY/SERVICE:TAG. */
export interface ServiceImages {
  readonly repository: string;
  readonly tag: string;
}

/**
 * Builds the images of the services as they were compiled, 15 s, and gives them to the node; pods need
 * `imagePullPolicy: Never`.
 *
 * @throws Error if they cannot be built; what builds them says why on stderr
 */
export async function importServiceImages(node: RealNode): Promise<ServiceImages> {
  const out = await mkdtemp(join(node.dir, "images-"));
  const main = createRequire(import.meta.url).resolve("@fairlead/images/main");
  const names = ["--repository", `docker.io/${repository}`, "--tag", tag];
  await runProgram({
    file: process.execPath,
    args: [main, "--architecture", architecture, "--out", out, ...names],
  });
  for (const service of services) await node.importImage(join(out, `${service}-${architecture}.tar`));
  return { repository, tag };
}
