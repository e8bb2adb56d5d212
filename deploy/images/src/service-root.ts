import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NODE_FLAGS } from "@fairlead/service";
import { USER } from "./base-root.ts";
import { bundle, licenceTexts } from "./bundle.ts";

export const SERVICES = ["relay", "agent", "identity-proxy"] as const;
export type Service = (typeof SERVICES)[number];

/**
 * Makes what an image has of its own: the service in one file, and for the agent the identity proxy that it can start
 * beside itself, where it looks for it; with the licences of what is in there.
 *
 * @param checkout built
 * @param root an empty folder
 * @returns of what packages of npm something was taken, as NAME@VERSION
 */
export async function serviceRoot(checkout: string, service: Service, root: string): Promise<ReadonlySet<string>> {
  const packages = await bundle(checkout, entryOf(service), join(root, "app/main.js"));
  writeFileSync(join(root, "app/package.json"), JSON.stringify({ type: "module" }));
  if (service === "agent") {
    const beside = join(root, "app/node_modules/@fairlead/identity-proxy");
    packages.push(...(await bundle(checkout, entryOf("identity-proxy"), join(beside, "main.js"))));
    const described = { name: "@fairlead/identity-proxy", type: "module", exports: { "./main": "./main.js" } };
    writeFileSync(join(beside, "package.json"), JSON.stringify(described));
  }
  const documents = join(root, "usr/share/doc/fairlead");
  mkdirSync(documents, { recursive: true });
  copyFileSync(join(checkout, "LICENSE"), join(documents, "copyright"));
  writeFileSync(join(documents, "copyright-of-others"), licenceTexts(packages));
  return new Set(packages.map(({ id }) => id));
}

const entryOf = (service: Service): string => `services/${service}/dist/main.js`;

/** How an image's service is started (OCI image specification, config.md). */
export function serviceConfig(service: Service, version: string): Readonly<Record<string, unknown>> {
  return {
    Entrypoint: ["/usr/bin/node", ...NODE_FLAGS, "/app/main.js"],
    User: `${USER}:${USER}`,
    WorkingDir: "/app",
    Env: ["PATH=/usr/bin", "NODE_ENV=production"],
    Labels: {
      "org.opencontainers.image.title": `fairlead-${service}`,
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.licenses": "Apache-2.0",
    },
  };
}
