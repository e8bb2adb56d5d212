import { X509Certificate } from "node:crypto";

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

/** An https URL of which nothing is left out when it is asked for, or sent along with it. */
export function plainUrl(value: unknown, at: string): string {
  const url = text(value, at);
  if (!URL.canParse(url) || new URL(url).protocol !== "https:") throw new Error(`${at}: an https:// URL is due`);
  const { username, password } = new URL(url);
  if (username !== "" || password !== "" || /[?#]/.test(url)) {
    throw new Error(`${at}: no user, query or fragment may be in it`);
  }
  return url;
}

/** A certificate in PEM, or several. */
export function certificate(value: unknown, at: string): string {
  const pem = text(value, at);
  try {
    new X509Certificate(pem);
  } catch {
    throw new Error(`${at}: a certificate in PEM is due`);
  }
  return pem;
}
