/* Reads fields of a configuration file; each says where a fault is. */

export function section(value: unknown, at: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${at}: a mapping is due`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Error(`${at}.${unknown}: not supported (known: ${known.join(", ")})`);
  return { ...value };
}

export function list(value: unknown, at: string): unknown[] {
  if (!Array.isArray(value)) throw new Error(`${at}: a list is due`);
  return value;
}

export function text(value: unknown, at: string): string {
  if (typeof value !== "string" || value === "") throw new Error(`${at}: a text is due`);
  return value;
}

export function optionalText(value: unknown, at: string): string | undefined {
  return value === undefined ? undefined : text(value, at);
}

export function httpsUrl(value: unknown, at: string): string {
  const url = text(value, at);
  if (!URL.canParse(url) || new URL(url).protocol !== "https:") throw new Error(`${at}: an https:// URL is due`);
  return url;
}
