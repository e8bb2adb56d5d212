import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { run } from "./run.ts";

export type Architecture = "amd64" | "arm64";

/** A layer, packed: its digest is of `bytes`, and the diff's of what they unpack to. */
export interface Layer {
  readonly bytes: Buffer;
  readonly diff: string;
}

/** What an image is, beside its layers. */
export interface ImageDescription {
  /** As in "fairlead.dev/relay:0.1.0". */
  readonly name: string;
  readonly architecture: Architecture;
  /** Entrypoint, Cmd, User, Env and so on, as the OCI image specification has them (config.md). */
  readonly config: Readonly<Record<string, unknown>>;
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/**
 * Packs a folder as a layer. Times, owners, order and modes are fixed, so that the same files give the same layer.
 *
 * @param folder its files become readable for everybody, and /tmp writable
 */
export function packLayer(folder: string): Layer {
  fixModes(folder);
  run("find", [folder, "-path", `${folder}/tmp`, "-exec", "chmod", "1777", "{}", ";"]);
  const tar = tarOf(folder, ["."]);
  return { bytes: gzipSync(tar), diff: digestOf(tar) };
}

/**
 * Writes an image as an archive: an OCI image layout, with the manifest.json that `docker load` reads beside it. `ctr images
 * import`, `podman load` and `skopeo copy oci-archive:FILE` take the first.
 *
 * @returns the digest of the image's manifest, by which a registry knows it
 */
export function writeImage(file: string, { name, architecture, config }: ImageDescription, layers: Layer[]): string {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-image-"));
  try {
    mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
    const blob = (mediaType: string, bytes: Buffer) => {
      const digest = digestOf(bytes);
      writeFileSync(join(folder, pathOf(digest)), bytes);
      return { mediaType, digest, size: bytes.length };
    };
    const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
    const rootfs = { type: "layers", diff_ids: layers.map(({ diff }) => diff) };
    const configBlob = blob(`${OCI}.config.v1+json`, json({ architecture, os: "linux", config, rootfs }));
    const layerBlobs = layers.map(({ bytes }) => blob(`${OCI}.layer.v1.tar+gzip`, bytes));
    const manifest = blob(
      `${OCI}.manifest.v1+json`,
      json({ schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config: configBlob, layers: layerBlobs }),
    );
    const annotations = {
      "io.containerd.image.name": name,
      "org.opencontainers.image.ref.name": name.split(":").at(-1),
    };
    const files = {
      "oci-layout": { imageLayoutVersion: "1.0.0" },
      "index.json": {
        schemaVersion: 2,
        mediaType: `${OCI}.index.v1+json`,
        manifests: [{ ...manifest, platform: { architecture, os: "linux" }, annotations }],
      },
      "manifest.json": [
        { Config: pathOf(configBlob.digest), RepoTags: [name], Layers: layerBlobs.map(({ digest }) => pathOf(digest)) },
      ],
    };
    for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), json(content));
    fixModes(folder);
    writeFileSync(file, tarOf(folder, [...Object.keys(files), "blobs"]));
    return manifest.digest;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const OCI = "application/vnd.oci.image";
const pathOf = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

/** Whatever the umask was. */
const fixModes = (folder: string): unknown => run("chmod", ["--recursive", "u=rwX,go=rX", folder]);

function tarOf(folder: string, members: readonly string[]): Buffer {
  const fixed = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];
  return run("tar", [...fixed, "-C", folder, "-cf", "-", ...members]);
}
