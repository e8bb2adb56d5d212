import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type BuildOptions, build } from "esbuild";

/** What Nest, ws and pg look for and do without. */
const ABSENT = [
  "@nestjs/websockets",
  "@nestjs/microservices",
  "@nestjs/platform-express",
  "class-transformer",
  "class-validator",
  "@fastify/static",
  "@fastify/view",
  "@fastify/multipart",
  "bufferutil",
  "pg-native",
  "utf-8-validate",
];

/** CommonJS packages in the bundle need what a module has not. */
const COMMON_JS = [
  'import { createRequire as __createRequire } from "node:module";',
  "const require = __createRequire(import.meta.url);",
  "const __filename = import.meta.filename;",
  "const __dirname = import.meta.dirname;",
].join("\n");

/** A package of npm of which something is in a bundle. */
export interface BundledPackage {
  /** NAME@VERSION */
  readonly id: string;
  /** The texts of its licence, which go where it goes. */
  readonly licence: string;
}

/**
 * Makes one file of a program and of all that it imports.
 *
 * @param root the checkout, built
 * @param entry the program, relative to `root`
 * @param other options of esbuild's, where it is not to be one module for node 24; with `splitting`, what is loaded late
 *   is in files beside it
 * @returns of what packages of npm something was taken
 */
export async function bundle(
  root: string,
  entry: string,
  outfile: string,
  other: BuildOptions = {},
): Promise<BundledPackage[]> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    ...(other.splitting ? { outdir: dirname(outfile) } : { outfile }),
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    mainFields: ["module", "main"],
    external: ABSENT.flatMap((name) => [name, `${name}/*`]),
    banner: { js: COMMON_JS },
    legalComments: "none",
    logLevel: "warning",
    ...other,
    metafile: true,
  });
  const folders = new Set<string>();
  for (const input of Object.keys(metafile.inputs)) {
    const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (folder !== undefined) folders.add(folder);
  }
  return [...folders].map((folder) => packageIn(join(root, folder)));
}

function packageIn(folder: string): BundledPackage {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  const texts = files.sort().map((file) => readFileSync(join(folder, file), "utf8"));
  return { id: `${name}@${version}`, licence: texts.join("\n") || `${license}\n` };
}

/** The licences of packages, each once, as one text. */
export function licenceTexts(packages: readonly BundledPackage[]): string {
  const licences = new Map(packages.map(({ id, licence }) => [id, licence]));
  const sorted = [...licences].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([id, licence]) => `== ${id}\n\n${licence}\n`).join("");
}
