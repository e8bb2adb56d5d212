import { Expression } from "./cel/expression.ts";
import type { ClaimMapping } from "./configuration.ts";

/** Control characters would end a header; half a surrogate pair would become another name in UTF-8. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/**
 * A user's, group's or uid's name, with its prefix. `system:` names are Kubernetes' own: a token never gives one.
 *
 * @throws Error with a sentence for the caller
 */
export function name(value: unknown, mapping: ClaimMapping | Expression): string {
  const [what, prefix] =
    mapping instanceof Expression
      ? [`the expression ${mapping.text}`, ""]
      : [`the claim ${mapping.claim}`, mapping.prefix];
  if (typeof value !== "string" || value.trim() === "") throw new Error(`${what} is missing or blank`);
  const full = safeText(prefix + value, what);
  if (full.trim().startsWith("system:")) throw new Error(`${what} gives a system: name, which no token may`);
  return unpadded(full, what);
}

/** A value of an extra. @param what names it. @throws Error with a sentence for the caller */
export function extraValue(value: unknown, what: string): string {
  return unpadded(safeText(value, what), what);
}

function safeText(value: unknown, what: string): string {
  if (typeof value !== "string") throw new Error(`${what} is no text`);
  if (UNSAFE.test(value)) throw new Error(`${what} has control characters`);
  return value;
}

/** HTTP takes blanks at the ends off a header (RFC 9110, 5.5): "jane " would act as "jane". */
function unpadded(value: string, what: string): string {
  if (value.trim() !== value) throw new Error(`${what} begins or ends with a blank`);
  return value;
}
