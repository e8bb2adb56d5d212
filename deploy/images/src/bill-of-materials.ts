import type { Architecture } from "./image-archive.ts";
import type { Pin } from "./pins.ts";
import { run } from "./run.ts";

interface Component {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

/** What is in an image. */
export interface Contents {
  /** The service, as in "relay". */
  readonly service: string;
  readonly architecture: Architecture;
  /** NAME@VERSION of each package of npm that something in the image is of. */
  readonly bundled: ReadonlySet<string>;
  /** Debian's packages and node. */
  readonly base: Readonly<Record<string, Pin>>;
}

/**
 * Says what is in an image, as CycloneDX 1.5 (ECMA-424): what npm says of the service, less what is not in the bundle,
 * with Debian's packages and node. The same image gives the same text.
 *
 * @param root the checkout
 */
export function billOfMaterials(root: string, { service, architecture, bundled, base }: Contents): string {
  const args = [
    "sbom",
    "--sbom-format=cyclonedx",
    "--omit=dev",
    "--package-lock-only",
    `--workspace=@fairlead/${service}`,
  ];
  const {
    serialNumber: _,
    metadata,
    components,
    dependencies: __,
    ...rest
  } = JSON.parse(run("npm", args, root).toString());
  const npm = (components as Component[]).filter(({ name, version }) => bundled.has(`${name}@${version}`));
  const others = Object.entries(base).map(([name, { version, sha256 }]) => ({
    type: "library",
    name,
    version,
    purl: purlOf(name, version, architecture),
    hashes: [{ alg: "SHA-256", content: sha256 }],
  }));
  const component = { type: "container", name: `fairlead-${service}`, version: metadata.component.version };
  const bill = { ...rest, metadata: { component }, components: [...npm, ...others] };
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}

const purlOf = (name: string, version: string, architecture: Architecture): string =>
  name.startsWith("node-")
    ? `pkg:npm/${name}@${version}`
    : `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}&distro=bookworm`;
