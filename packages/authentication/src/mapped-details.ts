import type { IssuerConfiguration } from "./configuration.ts";

/** What tokens give of people besides names and groups; each is a right of its own for who impersonates them. */
export interface MappedDetails {
  uids: boolean;
  /** Keys of extras. */
  extraKeys: string[];
}

/** What these issuers' tokens give, by their mappings. */
export function mappedDetails(issuers: readonly IssuerConfiguration[]): MappedDetails {
  const keys = issuers.flatMap(({ extra }) => extra.map(({ key }) => key));
  return { uids: issuers.some(({ uid }) => uid !== undefined), extraKeys: [...new Set(keys)].sort() };
}
