/** What RE2 does not have, and so Kubernetes neither. */
const NO_RE2 = /\\[1-9]|\\k<|\(\?(=|!|<=|<!)/;
/** What RE2 has and JavaScript takes for something else: `\p{L}` for a p, `[[:alpha:]]` for a set of these letters. */
const OTHERWISE = /\\p|\[\[:/i;

/**
 * Refuses a pattern that is none of RE2's (github.com/google/re2/wiki/Syntax), which is what CEL has, or would mean
 * something else here: a rule that never matches lets through what it was to keep out.
 *
 * @param method what takes the pattern, named in errors
 * @throws Error
 */
export function checkPattern(method: string, pattern: string): void {
  if (NO_RE2.test(pattern)) throw new Error(`${method}: RE2 has no lookaround and no backreferences`);
  new RegExp(pattern); // throws for one that is none
  if (OTHERWISE.test(pattern)) throw new Error(`${method}: classes of characters by name are not supported`);
  try {
    new RegExp(pattern, "u"); // throws for \A, \z, \Q and others of RE2's, which are an A, a z, a Q without "u"
  } catch {
    throw new Error(`${method}: an escape in ${pattern} is not supported`);
  }
}
