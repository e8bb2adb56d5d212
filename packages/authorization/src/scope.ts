import { ErrorCode, FairleadError, type Hop, type RequestHead, type Scope } from "@fairlead/protocol";
import { inWords, isReadOnly } from "./read-only.ts";

/**
 * A caller less the groups that a scope takes away. All that is decided about a request is decided about this caller.
 *
 * @param subject who the token speaks for; not changed
 * @param scope what the request asks to be kept from; undefined for nothing
 * @returns the subject itself where nothing is taken away
 */
export function narrowed<Subject extends { readonly groups: readonly string[] }>(
  subject: Subject,
  scope: Scope | undefined,
): Subject {
  if (scope?.groups === undefined) return subject;
  const counting = new Set(scope.groups.names);
  return { ...subject, groups: subject.groups.filter((group) => counting.has(group)) };
}

/**
 * Refuses a request that does more than its scope lets it.
 *
 * @param hop the hop that judges
 * @throws FairleadError ACCESS_DENIED
 */
export function checkScope(head: RequestHead, hop: Hop): void {
  if (!head.scope?.readOnly || isReadOnly(head)) return;
  const sentence = `this context is read-only, and "${inWords(head)}" is more than reading; choose a context that is not`;
  throw new FairleadError(ErrorCode.ACCESS_DENIED, hop, sentence);
}
