/** A header's name (RFC 9110, 5.6.2). */
export const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
/** What no header's value may hold: a CR or LF would begin a line of its own (RFC 9110, 5.5). */
export const CONTROL = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Header lines as node's raw form has them: names and values in turn, values without the blanks around them.
 *
 * @throws Error if a line is not one header; a folded line is none (RFC 9112, 5.2)
 */
export function asHeaders(lines: readonly string[]): string[] {
  const raw: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const value = trimBlanks(line, colon + 1);
    if (colon < 1 || !TOKEN.test(name) || CONTROL.test(value)) throw new Error("a line of the head is no header");
    raw.push(name, value);
  }
  return raw;
}

/** All values of a header among raw ones, by its name in lower case. node's own `headersDistinct` copies all for it. */
export function rawValues(raw: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i]?.length === name.length && raw[i]?.toLowerCase() === name) values.push(raw[i + 1] ?? "");
  }
  return values;
}

/** `String.trim` would take more than HTTP's blanks away, such as U+00A0, which is a byte of a value. */
function trimBlanks(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isBlank(line.charCodeAt(start))) start++;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
