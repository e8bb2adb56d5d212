/** Longest text that is shown of what was seen, in characters. */
const MAX_SEEN = 600;
/** JWTs (RFC 7519), join tokens and the values of authorization headers, should any come back in an answer. */
const SECRETS = /\beyJ[\w-]*\.[\w-]*(\.[\w-]*)?|\bflj_[\w-]+|\b(Bearer|Basic|DPoP) +[\w.~+/=-]{12,}/gi;

/**
 * What a stranger said, as one line that tells a terminal nothing to do and has no secret in it.
 *
 * @param secrets what must not be in it besides, as it is
 */
export function shown(seen: string, secrets: readonly string[] = []): string {
  const line = secrets
    .reduce((text, secret) => text.replaceAll(secret, "[secret]"), seen)
    .replace(SECRETS, "[secret]")
    .replace(/\s+/g, " ")
    .replace(/\p{Cc}|\p{Cf}/gu, "\ufffd");
  return line.length > MAX_SEEN ? `${line.slice(0, MAX_SEEN)}…` : line;
}
