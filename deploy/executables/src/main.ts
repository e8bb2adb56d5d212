import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle, licenceTexts } from "@fairlead/images/bundle";
import { Command, Option } from "commander";
import { executable, type Program } from "./executable.ts";
import { nodeBinary, TARGETS, type Target } from "./node-binary.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const CACHE = join(process.env.FAIRLEAD_CACHE ?? join(ROOT, ".cache"), "executables");

const options = new Command("npm run executables --")
  .description("Builds the fairlead command as a file each, which needs no node. Needs tar, and python3 with pip.")
  .addOption(new Option("--target <name...>", "for what").choices(TARGETS).default([...TARGETS]))
  .option("--out <folder>", "where the files go, with SHA256SUMS and LICENCES", join(ROOT, "dist/executables"))
  .addHelpText("after", "\nExample:\n  npm run executables -- --target linux-x64 darwin-arm64")
  .parse()
  .opts<{ target: Target[]; out: string }>();

const folder = mkdtempSync(join(tmpdir(), "fairlead-bundle-"));
try {
  mkdirSync(options.out, { recursive: true });
  const { program, licences } = await makeProgram(folder);
  writeFileSync(join(options.out, "LICENCES"), licences);
  const sums: string[] = [];
  for (const target of options.target) {
    const made = await executable(target, nodeBinary(target, CACHE), program);
    const name = `fairlead-${target}${target.startsWith("windows") ? ".exe" : ""}`;
    writeFileSync(join(options.out, name), made);
    chmodSync(join(options.out, name), 0o755);
    sums.push(`${createHash("sha256").update(made).digest("hex")}  ${name}\n`);
    console.log(`${join(options.out, name)} ${Math.round(made.length / 2 ** 20)} MiB`);
  }
  writeFileSync(join(options.out, "SHA256SUMS"), sums.join(""));
} finally {
  rmSync(folder, { recursive: true });
}

async function makeProgram(folder: string): Promise<{ program: Program; licences: string }> {
  const main = join(folder, "main.cjs");
  const packages = await bundle(ROOT, "clients/fairlead/dist/main.js", main, {
    format: "cjs",
    banner: {},
    // Native code of each system, which cannot be in there: the command does without a keychain.
    external: ["@napi-rs/keyring"],
    minifySyntax: true,
    minifyWhitespace: true,
    // A file of no module has no address; what is read beside the program is an asset instead.
    logOverride: { "empty-import-meta": "silent" },
  });
  const manifests = join(ROOT, "clients/fairlead/manifests/agent.yaml");
  return { program: { main, assets: { "manifests/agent.yaml": manifests } }, licences: licenceTexts(packages) };
}
