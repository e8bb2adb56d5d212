import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runProgram } from "./program.ts";
import type { RealNode } from "./real-node.ts";

const main = createRequire(import.meta.url).resolve("@fairlead/images/main");
const root = join(dirname(main), "../../..");
/** Built images, by what they were built of. */
const built = join(process.env.FAIRLEAD_CACHE ?? join(root, ".cache"), "images/built");
/** What was built earlier than this is removed, in milliseconds: 400 MiB each. */
const keptMs = 60 * 60_000;
/** What goes into the images. */
const parts = ["{packages,services}/*/dist/**/*.js", "deploy/images/{dist/**/*.js,pins.json}", "package-lock.json"];

const services = ["relay", "agent", "identity-proxy"] as const;
const [repository, tag] = ["local/fairlead", "test"];
const architecture = process.arch === "arm64" ? "arm64" : "amd64";

/** What pods name the services' images: REPOSITORY/SERVICE:TAG. */
export interface ServiceImages {
  readonly repository: string;
  readonly tag: string;
}

/** What `npm run images` has written of a service, for this machine's architecture. */
export interface ImageFiles {
  /** The image: an archive as `docker save` writes it. */
  readonly archive: string;
  /** Its bill of materials, CycloneDX in JSON. */
  readonly bill: string;
}

/**
 * Gives the images of the services, as they were compiled, to the node; pods need `imagePullPolicy: Never`. They are
 * built once, 15 s, for as long as nothing of them changes.
 *
 * @param which those that are needed
 * @throws Error if they cannot be built; what builds them says why on stderr
 */
export async function importServiceImages(
  node: RealNode,
  which: readonly (typeof services)[number][] = services,
): Promise<ServiceImages> {
  for (const service of which) await node.importImage((await imageFiles(service)).archive);
  return { repository, tag };
}

/** The files of a service's image. @throws Error as {@link importServiceImages} */
export async function imageFiles(service: (typeof services)[number]): Promise<ImageFiles> {
  const file = join(await buildServiceImages(), `${service}-${architecture}`);
  return { archive: `${file}.tar`, bill: `${file}.cdx.json` };
}

async function buildServiceImages(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of globSync(parts, { cwd: root }).sort()) hash.update(file).update(readFileSync(join(root, file)));
  const folder = join(built, hash.digest("hex").slice(0, 16));
  if (existsSync(folder)) return folder;
  await mkdir(built, { recursive: true });
  await removeOld();
  const out = await mkdtemp(join(built, "new-"));
  const names = ["--repository", `docker.io/${repository}`, "--tag", tag];
  const nice = ["-n", "10", process.execPath]; // as the node that they are for
  await runProgram({ file: "nice", args: [...nice, main, "--architecture", architecture, "--out", out, ...names] });
  // Another test file may have been faster.
  await rename(out, folder).catch(() => rm(out, { recursive: true }));
  return folder;
}

async function removeOld(): Promise<void> {
  for (const name of await readdir(built)) {
    const folder = join(built, name);
    const { mtimeMs } = await stat(folder);
    if (mtimeMs < Date.now() - keptMs) await rm(folder, { recursive: true, force: true });
  }
}
