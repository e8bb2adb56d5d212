import type { MappedDetails } from "@fairlead/authentication";
import { type Extras, WAY_KEYS } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Rights } from "./least-privilege.ts";

/**
 * Those extras that the account may impersonate. The apiserver refuses a whole request for a key that it may not, so
 * one that the cluster's owner has not listed would keep everybody out.
 */
export function permitted(extras: Extras, rights: Rights): Extras {
  return Object.fromEntries(Object.entries(extras).filter(([key]) => rights.mayImpersonate(resource(key))));
}

/** Keys of extras that are left out, of those that tokens give and those that name a request's way. */
export function leftOut({ extraKeys }: MappedDetails, rights: Rights): string[] {
  return [...Object.values(WAY_KEYS), ...extraKeys].filter((key) => !rights.mayImpersonate(resource(key)));
}

/**
 * A uid is not left out: it says that a person is another than one of the same name before.
 *
 * @throws FairleadError ACCESS_DENIED if tokens give uids and the account may not impersonate them
 */
export function checkUids({ uids }: MappedDetails, rights: Rights): void {
  if (!uids || rights.mayImpersonate("uids")) return;
  const sentence =
    "the authentication configuration maps uids, and the account may not impersonate them; give it the ClusterRole of `fairlead rbac --authentication FILE`";
  throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

function resource(key: string): string {
  return `userextras/${key}`;
}
