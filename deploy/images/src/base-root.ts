import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodePackage } from "./archives.ts";
import type { Architecture } from "./image-archive.ts";
import { run } from "./run.ts";

/** Nobody, as in distroless images. */
export const USER = 65_532;

/** Of Debian's packages: shared libraries that node loads, time zones, and what says whose they are. No program. */
const KEPT = [
  /^lib64\/ld-linux/,
  /^(usr\/)?lib\/(\w+-linux-gnu\/)?(ld-linux|libc|libdl|libgcc_s|libm|libnss_dns|libnss_files|libpthread|libresolv|librt|libstdc\+\+)[-.][^/]*$/,
  /^usr\/share\/zoneinfo\/(?!right\/|posix\/)/,
  /^usr\/share\/doc\/[^/]+\/copyright$/,
  /^(usr\/lib|etc)\/os-release$/,
];

/**
 * Makes the root that all images have: node and what it needs, and nothing beside it that could be run.
 *
 * @param archives what pins.json names, by package
 * @param root an empty folder
 * @param work another
 */
export function makeBaseRoot(
  architecture: Architecture,
  archives: ReadonlyMap<string, string>,
  root: string,
  work: string,
): void {
  for (const folder of ["dev", "etc/ssl/certs", "proc", "sys", "tmp", "usr/bin", "usr/share/doc/node"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  mkdirSync(join(root, "var/lib/dpkg/status.d"), { recursive: true });
  const node = nodePackage(architecture);
  for (const [name, archive] of archives) {
    if (name !== node) takeDebian(name, archive, root, join(work, name));
  }
  const authorities = join(work, "ca-certificates/usr/share/ca-certificates/mozilla");
  const pems = readdirSync(authorities).sort();
  writeFileSync(
    join(root, "etc/ssl/certs/ca-certificates.crt"),
    pems.map((name) => readFileSync(join(authorities, name), "utf8")).join(""),
  );
  writeFileSync(join(root, "etc/passwd"), `root:x:0:0:root:/:/none\nfairlead:x:${USER}:${USER}:fairlead:/:/none\n`);
  writeFileSync(join(root, "etc/group"), `root:x:0:\nfairlead:x:${USER}:\n`);
  writeFileSync(join(root, "etc/nsswitch.conf"), "hosts: files dns\n");
  run("tar", ["-xzf", archives.get(node) ?? "", "-C", work, "package/bin/node", "package/LICENSE"]);
  copyFileSync(join(work, "package/bin/node"), join(root, "usr/bin/node"));
  copyFileSync(join(work, "package/LICENSE"), join(root, "usr/share/doc/node/copyright"));
}

function takeDebian(name: string, archive: string, root: string, unpacked: string): void {
  run("dpkg-deb", ["--extract", archive, unpacked]);
  const all = run("find", [".", "-not", "-type", "d", "-printf", "%P\n"], unpacked).toString().split("\n");
  const kept = all.filter((path) => KEPT.some((pattern) => pattern.test(path)));
  if (kept.length > 0) run("cp", ["--parents", "--no-dereference", "--preserve=mode,links", ...kept, root], unpacked);
  // Where scanners look for what a distroless image has of Debian.
  writeFileSync(join(root, "var/lib/dpkg/status.d", name), run("dpkg-deb", ["--field", archive]));
}
