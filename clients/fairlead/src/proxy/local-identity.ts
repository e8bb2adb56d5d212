import { hash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expiryOf, selfSigned } from "@fairlead/certificates";
import { exclusively } from "../files/exclusive.ts";
import { stateFolder } from "../files/folders.ts";
import { writePrivately } from "../files/private-file.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";

/** The local proxy's ports lie here: registered for nobody, and below what systems give out by themselves. */
const FIRST_PORT = 20_000;
const PORT_COUNT = 10_000;
const CERTIFICATE_DAYS = 365;
const RENEW_BEFORE_MS = 30 * 24 * 60 * 60_000;
const LOCK_WAIT_MS = 10_000;

/** What the local proxy of one cluster is to kubectl, the same at each start. */
export interface LocalIdentity {
  /** Its port on 127.0.0.1. kubectl keeps its discovery cache by host and port. */
  port: number;
  /** The random bearer token of the kubeconfig's user. It opens this proxy and nothing else. */
  localToken: string;
  /** Its certificate, PEM, which the kubeconfig trusts. */
  cert: string;
  key: string;
}

/**
 * The identity of the local proxy by which somebody reaches a cluster: read from the state folder, made there (0600, in
 * folders of 0700) the first time, and made anew when its certificate is about to expire. Each account has its own, so
 * that a context made with one login never leads through the proxy of another.
 *
 * @param relay the relay, as the account that reaches it
 * @param cluster the cluster's name
 */
export async function localIdentity(
  { url, account }: Pick<RelayConnection, "url" | "account">,
  cluster: string,
): Promise<LocalIdentity> {
  const folder = [url.host.replaceAll(":", "_"), hash("sha256", await account()).slice(0, 16)];
  const file = join(stateFolder(), "proxies", ...folder, `${cluster}.json`);
  const kept = await read(file);
  if (kept && isFresh(kept)) return kept;
  const lock = join(stateFolder(), "proxies", "lock");
  const owner = [...folder, cluster].join("/");
  return exclusively(lock, LOCK_WAIT_MS, "makes the identity of a proxy", () => made(owner, cluster, file));
}

/** Makes one, if nobody else has meanwhile. @param owner whose its port is */
async function made(owner: string, cluster: string, file: string): Promise<LocalIdentity> {
  const kept = await read(file);
  if (kept && isFresh(kept)) return kept;
  const certified = await selfSigned({
    commonName: `fairlead proxy ${cluster}`,
    hosts: ["127.0.0.1", "localhost"],
    days: CERTIFICATE_DAYS,
  });
  const identity: LocalIdentity = {
    port: kept?.port ?? (await claimedPort(owner)),
    localToken: kept?.localToken ?? randomBytes(32).toString("base64url"),
    ...certified,
  };
  await writePrivately(file, JSON.stringify(identity));
  return identity;
}

function isFresh({ cert }: LocalIdentity): boolean {
  try {
    return expiryOf(cert).getTime() - Date.now() > RENEW_BEFORE_MS;
  } catch {
    return false; // no certificate any more: made anew
  }
}

async function read(file: string): Promise<LocalIdentity | undefined> {
  try {
    const { port, localToken, cert, key } = JSON.parse(await readFile(file, "utf8"));
    const texts = [localToken, cert, key].every((text) => typeof text === "string" && text !== "");
    return texts && Number.isInteger(port) ? { port, localToken, cert, key } : undefined;
  } catch {
    return undefined; // not there, or not readable as what we wrote: made anew
  }
}

/**
 * A port that is its owner's alone: by its name, so that it stays the same when all is lost, or the next one that no
 * other has. Of 500 clusters a dozen would share one otherwise. Called under the lock.
 */
async function claimedPort(owner: string): Promise<number> {
  const file = join(stateFolder(), "proxies", "ports.json");
  const claims = await readClaims(file);
  const first = Number.parseInt(hash("sha256", owner).slice(0, 8), 16);
  for (let i = 0; i < PORT_COUNT; i++) {
    const port = FIRST_PORT + ((first + i) % PORT_COUNT);
    if ((claims[port] ?? owner) !== owner) continue;
    await writePrivately(file, JSON.stringify({ ...claims, [port]: owner }));
    return port;
  }
  throw new Error(`all ${PORT_COUNT} ports are taken; remove ${file}`);
}

async function readClaims(file: string): Promise<Record<string, string>> {
  try {
    return Object(JSON.parse(await readFile(file, "utf8")));
  } catch {
    return {}; // not there: each has its own first choice
  }
}
