import { readFile } from "node:fs/promises";
import type { Hop } from "@fairlead/protocol";
import { type IssuerConfiguration, parseAuthenticationConfiguration } from "./configuration.ts";
import { TokenVerifier } from "./token-verifier.ts";

/** How often the file is looked at, in milliseconds. */
const INTERVAL_MS = 2_000;

/** Where changes are told. */
export interface VerifierLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Judges tokens by a configuration file, as it is now: a change counts within 5 s, without a restart. One that cannot
 * be used is told once, and what counted before goes on to count.
 *
 * The content is compared, and not the time: a ConfigMap's file is a link to a link that is put in another's place, and
 * a volume may not tell of changes. It counts when it was the same twice: an editor may be in the middle of writing it.
 *
 * @param file the AuthenticationConfiguration, see {@link parseAuthenticationConfiguration}
 * @param hop the process that judges, named in errors
 * @throws Error that names the file and the field, if it cannot be used to begin with
 */
export async function openVerifier(
  file: string,
  hop: Hop,
  log: VerifierLog,
  intervalMs = INTERVAL_MS,
): Promise<TokenVerifier> {
  let counts = await contentOf(file);
  let seen = counts;
  const verifier = new TokenVerifier(issuersIn(counts, file), hop);
  const look = async (): Promise<void> => {
    const content = await contentOf(file);
    const isSettled = isSame(content, seen);
    seen = content;
    if (!isSettled || isSame(content, counts)) return;
    counts = content;
    try {
      const issuers = issuersIn(content, file);
      verifier.use(issuers);
      log.info({ issuers: issuers.map(({ url }) => url) }, "the authentication configuration has changed");
    } catch (error) {
      verifier.isOutdated = true;
      log.error({ err: error }, "the authentication configuration cannot be used; the one before it goes on to count");
    }
  };
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look().finally(() => {
      looking = false;
    });
  }, intervalMs);
  timer.unref();
  return verifier;
}

/** What is in a file, or why it cannot be read. */
type Content = { text: string } | { fault: string };

async function contentOf(file: string): Promise<Content> {
  try {
    return { text: await readFile(file, "utf8") };
  } catch (cause) {
    return { fault: String(Object(cause).message) };
  }
}

function isSame(a: Content, b: Content): boolean {
  return "text" in a ? "text" in b && a.text === b.text : "fault" in b && a.fault === b.fault;
}

function issuersIn(content: Content, file: string): IssuerConfiguration[] {
  try {
    if ("fault" in content) throw new Error(content.fault);
    return parseAuthenticationConfiguration(content.text);
  } catch (cause) {
    throw new Error(`${file}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}
