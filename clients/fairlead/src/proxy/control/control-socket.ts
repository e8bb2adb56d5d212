import { hash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { stateFolder } from "../../files/folders.ts";

/** What a Unix socket's path may be long, in bytes, on every system (sockaddr_un: 104 with its end on macOS). */
const MAX_PATH_BYTES = 103;
const SUFFIX = ".sock";
/** What a socket's name adds to its folder's path, in bytes. */
const NAME_BYTES = 1 + 16 + SUFFIX.length;
/** Windows has no sockets in folders; its pipes can be written to by their user and administrators alone. */
const PIPES = "\\\\.\\pipe\\fairlead-";

/**
 * Where the client proxy of a relay and an identity is talked to: one of each. A proxy that takes other tokens is another
 * one, so that nobody gets through as somebody else by joining.
 *
 * @param relay the relay's origin
 * @param identity whose token it takes
 * @throws FairleadError ACCESS_DENIED if there is no folder for it that is the user's alone
 */
export function controlSocket(relay: string, identity: string): string {
  const name = hash("sha256", `${stateFolder()}\0${relay}\0${identity}`).slice(0, 16);
  return process.platform === "win32" ? PIPES + name : join(socketFolder(), name + SUFFIX);
}

/** All sockets that there may be a client proxy behind. */
export function controlSockets(): string[] {
  if (process.platform === "win32") {
    const names = readdirSync("\\\\.\\pipe\\").filter((name) => name.startsWith("fairlead-"));
    return names.map((name) => `\\\\.\\pipe\\${name}`);
  }
  const folder = socketFolder();
  return readdirSync(folder)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => join(folder, name));
}

/**
 * A folder that only this user can enter: that is what keeps others from the sockets in it. Not the runtime folder, as long
 * as the other's path is short enough: it goes with the user's last session, and a proxy in the background may stay.
 *
 * @throws FairleadError ACCESS_DENIED if what stands in its place is somebody else's
 */
function socketFolder(): string {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const own = [join(stateFolder(), "run"), ...(runtime ? [join(runtime, "fairlead")] : [])];
  const folder = own.find((each) => Buffer.byteLength(each) + NAME_BYTES <= MAX_PATH_BYTES);
  if (folder === undefined) return sharedFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/**
 * Where all others are too long: in a folder that anybody can write to, so that it has to be looked whose it is.
 *
 * @throws FairleadError ACCESS_DENIED if it is somebody else's, or others can enter it
 */
export function sharedFolder(temporary = tmpdir()): string {
  const uid = process.getuid?.() ?? 0;
  const folder = join(temporary, `fairlead-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  if (stat.isDirectory() && stat.uid === uid && (stat.mode & 0o077) === 0) return folder;
  const sentence = `${folder} is not a folder of yours alone; remove it, or set XDG_RUNTIME_DIR to a short folder of yours`;
  throw new FairleadError(ErrorCode.ACCESS_DENIED, Hop.CLIENT_PROXY, sentence);
}

/** The lock under which a client proxy starts, by its socket. */
export function controlLock(socket: string): string {
  return join(stateFolder(), "run", `${hash("sha256", socket).slice(0, 16)}.lock`);
}
