import { hash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { tokenSubject } from "@fairlead/authentication/token-claims";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";

/** Gives the caller's own token, as it is now. */
export type TokenSource = () => string | Promise<string>;

/**
 * Where the caller's token comes from: a file, standard input, the environment, or a login.
 *
 * @param file `--token-file`: a path, read again when it changes, so that a refreshed token counts at once; "-" for
 *   standard input, read once
 * @param login gives the token of the user's login, if there is one; what is given with the command comes before it
 * @throws FairleadError TOKEN_REFUSED if there is none
 */
export function tokenSource(file: string | undefined, login?: TokenSource): TokenSource {
  if (file === "-") return constant(readFileSync(0, "utf8"), "standard input");
  if (file !== undefined) return fromFile(file);
  const { FAIRLEAD_TOKEN: token = "" } = process.env;
  return token === "" && login ? login : constant(token, "the environment (FAIRLEAD_TOKEN)");
}

/** The same, except that it fails when the token is asked for, and not before. */
export function lateTokenSource(file: string | undefined, login?: TokenSource): TokenSource {
  let source: TokenSource | undefined;
  return () => {
    source ??= tokenSource(file, login);
    return source();
  };
}

/** Whose token a source gives. */
export interface TokenOwner {
  /** The source in words: the same for the same one, so that a process that takes its tokens can serve others. */
  identity: string;
  /**
   * The login, the file, or who a token says it is of that was given by itself: what kubectl is pointed at is this one's
   * alone, and stays when the token is replaced.
   */
  account(): Promise<string>;
}

/**
 * Whose token it is that {@link tokenSource} gives.
 *
 * @param file as for tokenSource
 * @param token that source
 * @param profile the profile whose login counts, if one does
 */
export function tokenOwner(file: string | undefined, token: TokenSource, profile: string | undefined): TokenOwner {
  const { FAIRLEAD_TOKEN: given = "" } = process.env;
  if (file !== undefined && file !== "-") return lasting(`the token in ${resolve(file)}`);
  if (file === undefined && given === "" && profile !== undefined) return lasting(`the login of ${profile}`);
  // What came by standard input is not read twice: a process of its own each time.
  const identity = file === "-" ? `a token of process ${process.pid}` : `a token ${hash("sha256", given).slice(0, 12)}`;
  return { identity, account: async () => tokenSubject(await token()) ?? "" };
}

function lasting(identity: string): TokenOwner {
  return { identity, account: async () => identity };
}

function constant(text: string, where: string): TokenSource {
  const token = checked(text, where);
  return () => token;
}

function fromFile(file: string): TokenSource {
  let known: { token: string; mtimeMs: number } | undefined;
  return () => {
    try {
      const { mtimeMs } = statSync(file);
      if (known?.mtimeMs !== mtimeMs) known = { token: checked(readFileSync(file, "utf8"), file), mtimeMs };
      return known.token;
    } catch (cause) {
      if (cause instanceof FairleadError) throw cause;
      throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, `the token file ${file} cannot be read`, {
        cause,
      });
    }
  };
}

function checked(text: string, where: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  const sentence = token === "" ? `there is no token in ${where}` : `what is in ${where} is not a token`;
  const remedy =
    "run `fairlead login`, or give one with --token-file FILE, --token-file - (standard input) or FAIRLEAD_TOKEN";
  throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, `${sentence}; ${remedy}`);
}
