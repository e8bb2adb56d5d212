import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, realpath, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { ErrorCode, FairleadError, Hop, type Scope } from "@fairlead/protocol";
import { type Document, isMap, isSeq, parseDocument, stringify, YAMLSeq } from "yaml";
import { localCredential } from "../proxy/local-credential.ts";
import { type LocalIdentity, writePrivately } from "../proxy/local-identity.ts";
import { scopedName } from "./scope.ts";

/** How long another program may hold the kubeconfig's lock, in milliseconds. */
const LOCK_WAIT_MS = 3_000;

/** A credential plugin, as a kubeconfig names it (k8s.io/client-go, clientcmd/api/v1, ExecConfig). */
export interface ExecPlugin {
  apiVersion: string;
  command: string;
  args: string[];
  interactiveMode: string;
  provideClusterInfo: boolean;
  installHint: string;
}

/** The entries of one cluster in a kubeconfig, all three under the same name. */
export interface KubeconfigEntries {
  name: string;
  cluster: { server: string; "certificate-authority-data"?: string };
  user: { token: string } | { exec: ExecPlugin };
  context: { cluster: string; user: string; namespace?: string };
}

/**
 * The entries that point kubectl at the local proxy. The caller's own token is not among them.
 *
 * @param contextName the name of the cluster's context without scope
 * @param namespace of the context; empty for kubectl's default
 * @param scope what the context is to be kept from, bound to its credential; undefined for nothing
 */
export function localEntries(
  contextName: string,
  namespace: string,
  identity: LocalIdentity,
  scope?: Scope,
): KubeconfigEntries {
  const name = scopedName(contextName, scope);
  return {
    name,
    cluster: {
      server: `https://127.0.0.1:${identity.port}`,
      "certificate-authority-data": Buffer.from(identity.cert).toString("base64"),
    },
    user: { token: localCredential(identity.localToken, scope) },
    context: { cluster: name, user: name, ...(namespace !== "" && { namespace }) },
  };
}

/** A kubeconfig with these entries alone, as YAML. */
export function kubeconfigText(entries: KubeconfigEntries): string {
  const { name, cluster, user, context } = entries;
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster }],
    users: [{ name, user }],
    contexts: [{ name, context }],
    "current-context": name,
  });
}

/** Writes a kubeconfig of its own, 0600. */
export async function writeKubeconfig(file: string, entries: KubeconfigEntries): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writePrivately(file, kubeconfigText(entries));
}

/**
 * Puts the entries into the user's kubeconfig and makes their context the current one. All else in it, comments
 * too, stays as it was. Takes the lock that kubectl takes (client-go, clientcmd/loader.go).
 *
 * @param file the kubeconfig
 * @throws FairleadError MALFORMED_REQUEST if it is no kubeconfig, ALREADY_EXISTS if it stays locked
 */
export async function mergeKubeconfig(file: string, entries: KubeconfigEntries): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const unlock = await lock(`${file}.lock`);
  try {
    // A link stays one: what it points at is written.
    const target = await realpath(file).catch(() => file);
    const before = await readExisting(target);
    if (before.trim() === "") return await writePrivately(target, kubeconfigText(entries));
    const document = parseDocument(before);
    if (document.errors.length > 0 || !isMap(document.contents)) throw unusable(file);
    const { name, cluster, user, context } = entries;
    setEntry(document, "clusters", { name, cluster });
    setEntry(document, "users", { name, user });
    setEntry(document, "contexts", { name, context });
    document.set("current-context", name);
    await writePrivately(target, document.toString({ lineWidth: 0 })); // long lines stay as they are
  } finally {
    await unlock();
  }
}

/** The kubeconfig that kubectl would write to: the first of KUBECONFIG, or ~/.kube/config. */
export function defaultKubeconfig(): string {
  const [first] = (process.env.KUBECONFIG ?? "").split(delimiter).filter((file) => file !== "");
  return first ?? join(homedir(), ".kube", "config");
}

/** The file's text; empty if it is not there. One that cannot be read must not be taken for that, and overwritten. */
async function readExisting(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if (Object(cause).code === "ENOENT") return "";
    throw unusable(file, cause);
  }
}

function unusable(file: string, cause?: unknown): FairleadError {
  const sentence = `${file} ${cause === undefined ? "is not a kubeconfig" : "cannot be read"}; give --file FILE`;
  return new FairleadError(ErrorCode.MALFORMED_REQUEST, Hop.CLIENT_PROXY, sentence, { cause });
}

function setEntry(document: Document, list: string, entry: { name: string; [key: string]: unknown }): void {
  const node = document.get(list);
  const entries = isSeq(node) ? node : new YAMLSeq();
  if (!isSeq(node)) document.set(list, entries);
  entries.items = entries.items.filter((item) => !(isMap(item) && item.get("name") === entry.name));
  entries.add(document.createNode(entry));
}

async function lock(file: string): Promise<() => Promise<void>> {
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      await (await open(file, "wx", 0o600)).close();
      return () => rm(file, { force: true });
    } catch (cause) {
      if (Object(cause).code !== "EEXIST") throw unusable(file, cause);
      if (Date.now() > deadline) {
        const sentence = `the kubeconfig is locked by another program; if none runs, remove ${file}`;
        throw new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, sentence, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, 50 + randomBytes(1).readUInt8() / 4));
    }
  }
}
