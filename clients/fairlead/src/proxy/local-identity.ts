import { hash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expiryOf, selfSigned } from "@fairlead/certificates";
import { stateFolder } from "../files/folders.ts";
import { writePrivately } from "../files/private-file.ts";

/** The local proxy's ports lie here: registered for nobody, and below what systems give out by themselves. */
const FIRST_PORT = 20_000;
const PORT_COUNT = 10_000;
const CERTIFICATE_DAYS = 365;
const RENEW_BEFORE_MS = 30 * 24 * 60 * 60_000;

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
 * The identity of the local proxy for a cluster: read from the state folder, made there (0600, in folders of 0700)
 * the first time, and made anew when its certificate is about to expire.
 *
 * @param relay the relay's address
 * @param cluster the cluster's name
 */
export async function localIdentity(relay: URL, cluster: string): Promise<LocalIdentity> {
  const folder = join(stateFolder(), "proxies", relay.host.replaceAll(":", "_"));
  const file = join(folder, `${cluster}.json`);
  const kept = await read(file);
  if (kept && endsAtMs(kept) - Date.now() > RENEW_BEFORE_MS) return kept;
  const made = await selfSigned({
    commonName: `fairlead proxy ${cluster}`,
    hosts: ["127.0.0.1", "localhost"],
    days: CERTIFICATE_DAYS,
  });
  const identity: LocalIdentity = {
    port: kept?.port ?? portFor(relay, cluster),
    localToken: kept?.localToken ?? randomBytes(32).toString("base64url"),
    ...made,
  };
  await writePrivately(file, JSON.stringify(identity));
  return identity;
}

function endsAtMs({ cert }: LocalIdentity): number {
  try {
    return expiryOf(cert).getTime();
  } catch {
    return 0; // no certificate any more: made anew
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

function portFor(relay: URL, cluster: string): number {
  const digest = hash("sha256", `${relay.host}/${cluster}`);
  return FIRST_PORT + (Number.parseInt(digest.slice(0, 8), 16) % PORT_COUNT);
}
