import { createHash } from "node:crypto";
import { StatusError } from "../status.ts";

/** One line of the tokens file: who presents this bearer token. */
export interface TokenOwner {
  user: string;
  groups: string[];
  mayImpersonate: boolean;
}

/** Headers with every repetition kept apart: a group name may hold a comma. */
export type DistinctHeaders = Record<string, string[] | undefined>;

/** Who a request acts as, after impersonation. */
export interface Identity {
  username: string;
  uid: string;
  groups: string[];
  extra: Record<string, string[]>;
  /** The impersonator itself, without impersonation headers, has next to no rights. */
  rights: "everything" | "impersonate-only";
}

const authenticatedGroup = "system:authenticated";
const extraPrefix = "impersonate-extra-";

/** Finds token owners by digest, so that a lookup's duration says nothing about a token's first characters. */
export class TokenRegister {
  readonly #owners = new Map<string, TokenOwner>();

  /** @param tokens the parsed tokens file: bearer token to owner */
  constructor(tokens: Record<string, TokenOwner>) {
    for (const [token, owner] of Object.entries(tokens)) this.#owners.set(digest(token), owner);
  }

  /**
   * Authenticates a request and applies its impersonation headers.
   * @returns whom the request acts as
   * @throws StatusError Unauthorized without a known bearer token; Forbidden when the owner may not impersonate;
   *   BadRequest for impersonation headers without Impersonate-User
   * @see https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
   */
  authenticate(headers: DistinctHeaders): Identity {
    const [, token] = /^bearer +(\S+)$/i.exec(headers.authorization?.[0] ?? "") ?? [];
    const owner = token === undefined ? undefined : this.#owners.get(digest(token));
    if (!owner) throw new StatusError("Unauthorized", "Unauthorized");
    const asked = impersonationIn(headers);
    if (asked === undefined) {
      const rights = owner.mayImpersonate ? "impersonate-only" : "everything";
      return { username: owner.user, uid: "", groups: withAuthenticated(owner.groups), extra: {}, rights };
    }
    if (!owner.mayImpersonate) throw forbiddenImpersonation(owner.user, asked.username);
    return asked;
  }
}

function impersonationIn(headers: DistinctHeaders): Identity | undefined {
  const names = Object.keys(headers).filter((name) => name.startsWith("impersonate-"));
  if (names.length === 0) return undefined;
  const username = text(headers["impersonate-user"]?.[0] ?? "");
  // A real API server refuses this too: groups without a user would widen the impersonator itself.
  if (username === "") throw new StatusError("BadRequest", "impersonation headers need Impersonate-User");
  const extra: Record<string, string[]> = Object.create(null);
  for (const name of names.filter((each) => each.startsWith(extraPrefix))) {
    extra[extraKey(name)] = (headers[name] ?? []).map(text);
  }
  const groups = (headers["impersonate-group"] ?? []).map(text);
  return {
    username,
    uid: text(headers["impersonate-uid"]?.[0] ?? ""),
    groups: username === "system:anonymous" ? groups : withAuthenticated(groups),
    extra,
    rights: "everything",
  };
}

function extraKey(header: string): string {
  const escaped = header.slice(extraPrefix.length).toLowerCase();
  try {
    return decodeURIComponent(escaped);
  } catch {
    return escaped; // What the real server does with a malformed escape.
  }
}

/** Node reads header bytes as Latin-1; Go clients send UTF-8. */
function text(header: string): string {
  return Buffer.from(header, "latin1").toString("utf8");
}

function withAuthenticated(groups: string[]): string[] {
  return groups.includes(authenticatedGroup) ? groups : [...groups, authenticatedGroup];
}

function forbiddenImpersonation(user: string, asked: string): StatusError {
  const refused = `User "${user}" cannot impersonate resource "users" in API group "" at the cluster scope`;
  return new StatusError("Forbidden", `users "${asked}" is forbidden: ${refused}`, { name: asked, kind: "users" });
}

function digest(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
