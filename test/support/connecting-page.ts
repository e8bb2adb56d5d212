import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "./api-client.ts";

const page = () => readFileSync(new URL("../../docs/reference/connecting.md", import.meta.url), "utf8");

/** The objects that docs/reference/connecting.md shows, as an apiserver has them. */
export function shownObjects(): KubernetesObject[] {
  const blocks = [...page().matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = ""]) => yaml);
  return blocks.flatMap((yaml) => parseAllDocuments(yaml).map((document) => document.toJSON()));
}

/** The limits of memory that it has, in MiB, by service. */
export function shownMemoryLimits(): Record<string, number> {
  const rows = page().matchAll(/^\| (agent|identity proxy) \|.*\| (\d+) \|$/gm);
  return Object.fromEntries([...rows].map(([, service = "", limit]) => [service.replace(" ", "-"), Number(limit)]));
}
