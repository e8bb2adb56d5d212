import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { Archives } from "./archives.ts";
import { makeBaseRoot } from "./base-root.ts";
import { billOfMaterials } from "./bill-of-materials.ts";
import { type Architecture, type Layer, packLayer, writeImage } from "./image-archive.ts";
import { readPins } from "./pins.ts";
import { SERVICES, type Service, serviceConfig, serviceRoot } from "./service-root.ts";

interface Options {
  service: Service[];
  architecture: Architecture[];
  out: string;
  repository: string;
  tag: string;
  unpacked?: string;
  updatePins?: boolean;
}

const HERE = fileURLToPath(new URL("..", import.meta.url));
const ROOT = join(HERE, "../..");
const VERSION = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version;
const CACHE = join(process.env.FAIRLEAD_CACHE ?? join(ROOT, ".cache"), "images");
const ARCHITECTURES: Architecture[] = ["amd64", "arm64"];

const options = new Command("npm run images --")
  .description("Builds the services' images as archives, without a container engine. Needs apt-get, dpkg-deb and tar.")
  .addOption(new Option("--service <name...>", "which").choices(SERVICES).default([...SERVICES]))
  .addOption(new Option("--architecture <name...>", "for what").choices(ARCHITECTURES).default(ARCHITECTURES))
  .option("--out <folder>", "where SERVICE-ARCHITECTURE.tar goes, and .cdx.json beside it", join(ROOT, "dist/images"))
  .option("--repository <prefix>", "what the images' names begin with", "fairlead.dev")
  .option("--tag <tag>", "what they end with", VERSION)
  .option(
    "--unpacked <folder>",
    "write each service's own files there instead, for a base of yours (see the Dockerfile)",
  )
  .option("--update-pins", "pin the newest Debian packages, and this node, in pins.json; builds nothing")
  .addHelpText(
    "after",
    "\nExamples:\n  npm run images\n  npm run images -- --service relay --architecture amd64 && ctr images import dist/images/relay-amd64.tar",
  )
  .parse()
  .opts<Options>();

if (options.unpacked !== undefined) await unpack(options.unpacked);
else await buildOrPin(new Archives(CACHE, join(HERE, "debian.list")));

async function buildOrPin(archives: Archives): Promise<void> {
  if (options.updatePins) archives.update();
  else await buildAll(archives);
}

/** Only what the services have of their own: FOLDER/SERVICE is to be the root of what their base has not. */
async function unpack(folder: string): Promise<void> {
  for (const service of options.service) {
    mkdirSync(join(folder, service), { recursive: true });
    await serviceRoot(ROOT, service, join(folder, service));
  }
}

async function buildAll(archives: Archives): Promise<void> {
  mkdirSync(options.out, { recursive: true });
  const bases = new Map<Architecture, Layer>();
  for (const architecture of options.architecture) {
    const base = await inFolders((root, work) => {
      makeBaseRoot(architecture, archives.fetch(architecture), root, work);
      return packLayer(root);
    });
    bases.set(architecture, base);
  }
  for (const service of options.service) await build(service, bases);
}

async function build(service: Service, bases: ReadonlyMap<Architecture, Layer>): Promise<void> {
  const { layer, bundled } = await inFolders(async (root) => {
    const bundled = await serviceRoot(ROOT, service, root);
    return { layer: packLayer(root), bundled };
  });
  const name = `${options.repository}/${service}:${options.tag}`;
  const config = serviceConfig(service, options.tag);
  for (const [architecture, base] of bases) {
    const file = join(options.out, `${service}-${architecture}`);
    const digest = writeImage(`${file}.tar`, { name, architecture, config }, [base, layer]);
    const contents = { service, architecture, bundled, base: readPins()[architecture] };
    writeFileSync(`${file}.cdx.json`, billOfMaterials(ROOT, contents));
    console.log(`${file}.tar ${Math.round(statSync(`${file}.tar`).size / 2 ** 20)} MiB ${name} ${digest}`);
  }
}

/** Two empty folders for as long as `use` runs. */
async function inFolders<T>(use: (root: string, work: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-images-"));
  try {
    const [root, work] = [join(folder, "root"), join(folder, "work")];
    for (const each of [root, work]) mkdirSync(each);
    return await use(root, work);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
