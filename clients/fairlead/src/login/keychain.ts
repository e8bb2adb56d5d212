import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { exclusively } from "../files/exclusive.ts";
import { stateFolder } from "../files/folders.ts";

const SERVICE = "fairlead";
const ACCOUNT = "key of kept logins";
const KEY_BYTES = 32;
/** How long the system may ask the user to unlock it, in milliseconds. */
const UNLOCK_MS = 30_000;

/**
 * The key that kept logins are sealed with, from the operating system's keychain: macOS' Keychain, Windows' Credential
 * Manager, or the Secret Service of a Linux desktop. Only a key is in it, since Windows takes no more than 2,560 bytes.
 *
 * @param make whether it is made if there is none
 * @returns undefined if there is no keychain, no key in it, or FAIRLEAD_KEYCHAIN is "off"
 */
export async function keychainKey(make: boolean): Promise<Buffer | undefined> {
  opened ??= await askKeychain(make);
  return opened;
}

/** Once it was opened, a process goes on with it: a keychain that is locked later does not end what runs. */
let opened: Buffer | undefined;

async function askKeychain(make: boolean): Promise<Buffer | undefined> {
  if (process.env.FAIRLEAD_KEYCHAIN === "off" || !mayHaveKeychain()) return undefined;
  try {
    const { AsyncEntry } = await import("@napi-rs/keyring");
    // Without a Secret Service it would take the kernel's keyring, which forgets at logout.
    const entry = new AsyncEntry(SERVICE, ACCOUNT, { linux: { store: "secret-service" } });
    const kept = async (): Promise<Buffer | undefined> => {
      const text = await entry.getPassword(AbortSignal.timeout(UNLOCK_MS));
      return text ? Buffer.from(text, "base64") : undefined;
    };
    const key = await kept();
    if (key || !make) return key;
    // One process makes it: with two keys, what the first one seals is lost.
    return await exclusively(join(stateFolder(), "keychain.lock"), 2 * UNLOCK_MS, "makes its key", async () => {
      const others = await kept();
      if (others) return others;
      const made = randomBytes(KEY_BYTES);
      await entry.setPassword(made.toString("base64"), AbortSignal.timeout(UNLOCK_MS));
      return made;
    });
  } catch {
    return undefined; // none that can be used: the file's mode is what keeps others out
  }
}

/** Without a session bus there is no Secret Service, and asking for it would start one. */
function mayHaveKeychain(): boolean {
  if (process.platform !== "linux") return true;
  const { DBUS_SESSION_BUS_ADDRESS: bus, XDG_RUNTIME_DIR: runtime } = process.env;
  return Boolean(bus) || (runtime !== undefined && existsSync(join(runtime, "bus")));
}
