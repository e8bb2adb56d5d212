import { isOwnExtraKey } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import type { Impersonated } from "./impersonation.ts";

/** Most that a request may ask to be: each is a question to the apiserver. */
const MAX_NAMES = 64;
const PREFIX = "impersonate-";
const EXTRA_PREFIX = "impersonate-extra-";
/** An extra's key: the apiserver makes it lower case, since header names have none. */
const KEY = /^[a-z0-9][a-z0-9._~!$&'()*+,;=:@/%-]{0,252}$/;
/** Control characters would end a header; half a surrogate pair would become another name in UTF-8. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Whom a request asks to be carried out as (`kubectl --as`; kubernetes.io/docs/reference/access-authn-authz/
 * user-impersonation).
 *
 * @param head of a request that does ask
 * @throws FairleadError MALFORMED_REQUEST if it is not clear who is meant: with a part left out the request would be
 *   carried out with other rights than were asked for
 */
export function requestedIdentity(head: RequestHead): Impersonated {
  const asked = head.headers.flatMap(({ name, value }): [name: string, value: string][] => {
    const lower = name.toLowerCase();
    return lower.startsWith(PREFIX) ? [[lower, textOf(value, name)]] : [];
  });
  if (asked.length > MAX_NAMES) throw unclear(`it names more than ${MAX_NAMES} users, groups and extras`);
  const of = (header: string): string[] => asked.filter(([name]) => name === header).map(([, value]) => value);
  const [user, ...moreUsers] = of("impersonate-user");
  const [uid, ...moreUids] = of("impersonate-uid");
  if (user === undefined) throw unclear("--as names the user; --as-group and --as-uid are of use beside it only");
  if (moreUsers.length + moreUids.length > 0) throw unclear("it names more than one user or uid");
  const extra = new Map<string, string[]>();
  for (const [name, value] of asked) {
    if (!name.startsWith(EXTRA_PREFIX)) {
      if (!/^impersonate-(user|group|uid)$/.test(name)) throw unclear(`${name} is not known here`);
      continue;
    }
    const key = keyOf(name.slice(EXTRA_PREFIX.length));
    extra.set(key, [...(extra.get(key) ?? []), value]);
  }
  return { user, groups: of("impersonate-group"), uid, ...(extra.size > 0 && { extra: Object.fromEntries(extra) }) };
}

function textOf(bytes: Uint8Array, name: string): string {
  try {
    const text = utf8.decode(bytes);
    if (text !== "" && text.trim() === text && !UNSAFE.test(text)) return text;
  } catch {
    // no UTF-8: refused below, as every other text that would not arrive as it is
  }
  throw unclear(`the value of ${name} is empty, is no UTF-8, has control characters or begins or ends with a blank`);
}

function keyOf(encoded: string): string {
  const key = decoded(encoded)?.toLowerCase() ?? "";
  if (!KEY.test(key)) throw unclear("the key of an extra is not one that can be carried");
  if (isOwnExtraKey(key)) throw unclear(`extras of fairlead.dev are the identity proxy's own`);
  return key;
}

function decoded(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

function unclear(reason: string): FairleadError {
  const sentence = `the request's impersonation cannot be carried out: ${reason}`;
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.IDENTITY_PROXY, sentence);
}
