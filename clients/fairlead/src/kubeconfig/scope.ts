import { create } from "@bufbuild/protobuf";
import { type Scope, ScopeSchema } from "@fairlead/protocol";
import { misuse } from "../misuse.ts";

/** The options that make a context with a scope. */
export interface ScopeOptions {
  readOnly?: boolean;
  /** Names with commas between; the empty text for no group at all. */
  groups?: string;
}

/** The scope that the options ask for; undefined for none. @throws FairleadError MALFORMED_REQUEST */
export function scopeOf({ readOnly = false, groups }: ScopeOptions): Scope | undefined {
  if (!readOnly && groups === undefined) return undefined;
  if (groups === undefined) return create(ScopeSchema, { readOnly });
  const names = groups === "" ? [] : groups.split(",").map((name) => name.trim());
  if (names.includes("")) {
    const sentence = `--groups ${groups} has a group without a name; write NAME,NAME, or "" for no group`;
    throw misuse(sentence);
  }
  return create(ScopeSchema, { readOnly, groups: { names } });
}

/**
 * The name of a context that says its scope, such as `fairlead-prod:read-only` or `fairlead-prod:groups=dev,ops`.
 * No cluster's name has a colon, so that no other cluster's context can have this name.
 *
 * @param name the name of the context without scope
 */
export function scopedName(name: string, scope: Scope | undefined): string {
  const parts = [name];
  if (scope?.readOnly) parts.push("read-only");
  if (scope?.groups) parts.push(`groups=${scope.groups.names.join(",")}`);
  return parts.join(":");
}
