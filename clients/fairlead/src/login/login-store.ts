import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { exclusively } from "../files/exclusive.ts";
import { stateFolder } from "../files/folders.ts";
import { writePrivately } from "../files/private-file.ts";
import { keychainKey } from "./keychain.ts";

const CIPHER = "aes-256-gcm";
const [NONCE_BYTES, TAG_BYTES] = [12, 16];
/** How long another process may take to renew a token, in milliseconds. */
const LOCK_WAIT_MS = 20_000;

const LOCKED = "it is sealed, and your keychain cannot be opened (is it locked, or FAIRLEAD_KEYCHAIN=off?)";

/** What a login brought. */
export interface KeptLogin {
  /** The relay that it is for: an origin. It is sent to no other. */
  relay: string;
  /** How it was got ({@link loginKey}). It is renewed in no other way. */
  by: string;
  token: string;
  /** When it was got, and when it expires, in milliseconds since the epoch. */
  obtainedAtMs: number;
  expiresAtMs: number;
  refreshToken?: string;
}

/** Keeps the login of one profile: in a file of mode 0600, sealed with a key of the keychain if there is one. */
export class LoginStore {
  readonly #profile: string;
  readonly #file: string;

  /** @param profile its name, checked */
  constructor(profile: string) {
    this.#profile = profile;
    this.#file = join(stateFolder(), "logins", `${profile}.json`);
  }

  /** Changes whenever the login does; undefined if there is none. */
  get version(): string | undefined {
    const stat = statSync(this.#file, { bigint: true, throwIfNoEntry: false });
    return stat && `${stat.ino} ${stat.mtimeNs}`;
  }

  /** @returns undefined if nobody is logged in. @throws FairleadError TOKEN_REFUSED if it is there and cannot be read */
  async read(): Promise<KeptLogin | undefined> {
    let text: string;
    try {
      text = await readFile(this.#file, "utf8");
    } catch (cause) {
      if (Object(cause).code === "ENOENT") return undefined;
      throw unreadable("it cannot be read", cause);
    }
    const { sealed, login } = parsed(text);
    const opened = typeof sealed === "string" ? parsed(await this.#open(sealed)) : login;
    if (isLogin(opened)) return opened;
    throw unreadable("it is not what was written");
  }

  /**
   * Keeps a login in place of the one before. What was sealed stays so.
   *
   * @returns where what opens it is
   * @throws FairleadError TOKEN_REFUSED if the one before was sealed and the keychain cannot be opened now
   */
  async write(login: KeptLogin): Promise<"keychain" | "file"> {
    const key = await keychainKey(true);
    if (key === undefined && (await this.#isSealed())) throw unreadable(LOCKED);
    const content = key ? { sealed: this.#seal(key, JSON.stringify(login)) } : { login };
    await writePrivately(this.#file, JSON.stringify(content));
    return key ? "keychain" : "file";
  }

  /** Forgets the login. */
  async remove(): Promise<void> {
    await rm(this.#file, { force: true });
  }

  /** Does something while no other process changes this login: a refresh token may count only once. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return exclusively(`${this.#file}.lock`, LOCK_WAIT_MS, "renews your login", work);
  }

  async #isSealed(): Promise<boolean> {
    const text = await readFile(this.#file, "utf8").catch(() => "{}");
    return /^\{"sealed":/.test(text);
  }

  #seal(key: Buffer, text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(this.#profile));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64");
  }

  async #open(sealed: string): Promise<string> {
    const key = await keychainKey(false);
    if (key === undefined) throw unreadable(LOCKED);
    const bytes = Buffer.from(sealed, "base64");
    try {
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES));
      decipher.setAAD(Buffer.from(this.#profile));
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
    } catch (cause) {
      throw unreadable("it was sealed with another key", cause);
    }
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch (cause) {
    throw unreadable("it is not what was written", cause);
  }
}

function isLogin(value: unknown): value is KeptLogin {
  const { relay, by, token, obtainedAtMs, expiresAtMs, refreshToken = "" } = Object(value);
  const areTexts = [relay, by, token, refreshToken].every((each) => typeof each === "string");
  return areTexts && [obtainedAtMs, expiresAtMs].every(Number.isFinite);
}

function unreadable(why: string, cause?: unknown): FairleadError {
  const sentence = `your kept login cannot be used: ${why}; run \`fairlead login\` again`;
  return new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, sentence, { cause });
}
