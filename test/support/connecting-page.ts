import { readFileSync } from "node:fs";

const page = () => readFileSync(new URL("../../docs/reference/connecting.md", import.meta.url), "utf8");

/** The limits of memory that it has, in MiB, by service. */
export function shownMemoryLimits(): Record<string, number> {
  const rows = page().matchAll(/^\| (agent|identity proxy) \|.*\| (\d+) \|$/gm);
  return Object.fromEntries([...rows].map(([, service = "", limit]) => [service.replace(" ", "-"), Number(limit)]));
}
