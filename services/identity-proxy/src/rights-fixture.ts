import type { Rights } from "./least-privilege.ts";

/** An account that may impersonate these, besides users and groups; `*` for all. */
export function rightsTo(...resources: string[]): Rights {
  return { mode: "plain", mayImpersonate: (resource) => resources.includes(resource) || resources.includes("*") };
}
