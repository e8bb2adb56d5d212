/** A user's extras (authentication.k8s.io/v1 UserInfo): by key, its values. */
export type Extras = Readonly<Record<string, readonly string[]>>;

/** Keys of the extras by which the cluster's audit log says which way a request came. */
export const WAY_KEYS = {
  relay: "fairlead.dev/relay",
  cluster: "fairlead.dev/cluster",
  session: "fairlead.dev/session",
  client: "fairlead.dev/client",
} as const;

/** Key of the extra that says who really asks, where the request is carried out as somebody else (`--as`). */
export const ORIGINAL_USER_KEY = "fairlead.dev/original-user";

/** Keys of this domain are the identity proxy's own: neither a token nor a caller gives one. */
const OWN_DOMAIN = /^([^/]*\.)?fairlead\.dev(\/|$)/;

/** Whether only the identity proxy sets extras of this key. */
export function isOwnExtraKey(key: string): boolean {
  return OWN_DOMAIN.test(key);
}
