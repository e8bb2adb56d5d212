import { hash } from "node:crypto";
import { ORIGINAL_USER_KEY } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Apiserver } from "./apiserver.ts";
import type { Impersonated } from "./impersonation.ts";
import type { Rights } from "./least-privilege.ts";
import { mayDo, type Reviewed } from "./self-review.ts";

const AUTHENTICATION = "authentication.k8s.io";
const SERVICE_ACCOUNT = /^system:serviceaccount:([a-z0-9-]+):([a-z0-9.-]+)$/;
/** How long a permission counts, in milliseconds: kubectl asks for discovery hundreds of times at once. */
const ALLOWED_MS = 5_000;
/** Most permissions kept. */
const MAX_ALLOWED = 1_000;

/** Lets callers act as somebody else, as far as their own rights in the cluster go (`kubectl --as`). */
export class ActingAs {
  readonly #apiserver: Apiserver;
  readonly #rights: Rights;
  /** By the digest of who and whom, until when. */
  readonly #allowed = new Map<string, number>();

  /** @throws FairleadError ACCESS_DENIED if the account lacks a right that it takes */
  constructor(apiserver: Apiserver, rights: Rights) {
    this.#apiserver = apiserver;
    this.#rights = rights;
    const needed = ["uids", `userextras/${ORIGINAL_USER_KEY}`, ...(rights.mode === "plain" ? ["serviceaccounts"] : [])];
    const missing = needed.filter((resource) => !rights.mayImpersonate(resource));
    if (missing.length === 0) return;
    const sentence = `--allow-as: the account may not impersonate ${missing.join(", ")}; give it the ClusterRole of \`fairlead rbac --allow-as\``;
    throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
  }

  /**
   * Asks whether a caller may act as another, in all parts: user, each group, uid, each value of an extra.
   *
   * @returns as whom the request is carried out; an extra says who asked
   * @throws FairleadError ACCESS_DENIED, UNREACHABLE, OWN_CREDENTIAL_REFUSED
   */
  async authorize(caller: Impersonated, target: Impersonated): Promise<Impersonated> {
    this.#refuseAlways(target);
    const acting = { ...target, extra: { ...target.extra, [ORIGINAL_USER_KEY]: [caller.user] } };
    const { user, groups, uid, extra } = caller;
    const pair = hash("sha256", JSON.stringify([user, groups, uid, extra, target]));
    if ((this.#allowed.get(pair) ?? 0) > Date.now()) return acting;
    await Promise.all(reviewsOf(target).map((reviewed) => this.#review(caller, reviewed)));
    this.#keep(pair);
    return acting;
  }

  #refuseAlways({ user, groups, extra = {} }: Impersonated): void {
    if (groups.includes("system:masters")) throw denied("nobody acts as system:masters through the tunnel");
    const unlisted = Object.keys(extra).find((key) => !this.#rights.mayImpersonate(`userextras/${key}`));
    if (unlisted !== undefined) throw denied(`the cluster's owner has not listed the extra ${unlisted}`);
    if (this.#rights.mode === "capped" && user.startsWith("system:")) {
      throw denied("through a capped tunnel nobody acts as a service account, a node or another system: user");
    }
  }

  async #review(caller: Impersonated, reviewed: Omit<Reviewed, "verb">): Promise<void> {
    if (await mayDo(this.#apiserver, caller, { verb: "impersonate", ...reviewed })) return;
    const what = `${reviewed.resource}${reviewed.subresource ? `/${reviewed.subresource}` : ""} "${reviewed.name}"`;
    throw denied(
      `${caller.user} may not impersonate ${what} in this cluster; its RBAC has the verb impersonate for that`,
    );
  }

  #keep(pair: string): void {
    if (this.#allowed.size >= MAX_ALLOWED) {
      const [oldest] = this.#allowed.keys();
      if (oldest !== undefined) this.#allowed.delete(oldest);
    }
    this.#allowed.delete(pair); // to the end, as the youngest
    this.#allowed.set(pair, Date.now() + ALLOWED_MS);
  }
}

/** As the apiserver asks for each part (apiserver, endpoints/filters/impersonation). */
function reviewsOf({ user, groups, uid, extra = {} }: Impersonated): Omit<Reviewed, "verb">[] {
  const [, namespace, name] = SERVICE_ACCOUNT.exec(user) ?? [];
  const who =
    namespace !== undefined && name !== undefined
      ? { resource: "serviceaccounts", namespace, name }
      : { resource: "users", name: user };
  return [
    who,
    ...groups.map((group) => ({ resource: "groups", name: group })),
    ...(uid === undefined ? [] : [{ group: AUTHENTICATION, resource: "uids", name: uid }]),
    ...Object.entries(extra).flatMap(([key, values]) =>
      values.map((value) => ({ group: AUTHENTICATION, resource: "userextras", subresource: key, name: value })),
    ),
  ];
}

function denied(sentence: string): FairleadError {
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}
