import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, realpath, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { ErrorCode, FairleadError, Hop, type Scope } from "@fairlead/protocol";
import { type Document, isMap, isSeq, parseDocument, stringify, YAMLSeq } from "yaml";
import { writePrivately } from "../files/private-file.ts";
import { misuse } from "../misuse.ts";
import { localCredential } from "../proxy/local-credential.ts";
import type { LocalIdentity } from "../proxy/local-identity.ts";
import { scopedName } from "./scope.ts";

/** How long another program may hold the kubeconfig's lock, in milliseconds. */
const LOCK_WAIT_MS = 3_000;
const EXTENSION = "fairlead.dev";
/** All contexts of ours begin so, unless the user says otherwise. */
export const CONTEXT_PREFIX = "fairlead-";

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
  context: { cluster: string; user: string; namespace?: string; extensions?: [OriginExtension] };
}

/** How a context of ours is told from others when it is to be removed (clientcmd api/v1 Context.extensions). */
interface OriginExtension {
  name: typeof EXTENSION;
  extension: Origin;
}

/** Where a context leads. */
export interface Origin {
  /** The relay's origin. */
  relay: string;
  cluster: string;
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

/** The entries, with where their context leads. */
export function withOrigin(entries: KubeconfigEntries, { relay, cluster }: Origin): KubeconfigEntries {
  const extensions: [OriginExtension] = [{ name: EXTENSION, extension: { relay, cluster } }];
  return { ...entries, context: { ...entries.context, extensions } };
}

/** A kubeconfig with these entries alone, as YAML; the first one's context is the current one. */
export function kubeconfigText(entries: readonly KubeconfigEntries[]): string {
  const [first] = entries;
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: entries.map(({ name, cluster }) => ({ name, cluster })),
    users: entries.map(({ name, user }) => ({ name, user })),
    contexts: entries.map(({ name, context }) => ({ name, context })),
    "current-context": first?.name ?? "",
  });
}

/** Writes a kubeconfig of its own, 0600. */
export async function writeKubeconfig(file: string, entries: readonly KubeconfigEntries[]): Promise<void> {
  await writePrivately(file, kubeconfigText(entries));
}

/**
 * Puts the entries into the user's kubeconfig, all or none. All else in it, comments too, stays as it was. Takes the lock
 * that kubectl takes (client-go, clientcmd/loader.go). A single context becomes the current one; of several none does,
 * unless there is no current one.
 *
 * @param file the kubeconfig
 * @throws FairleadError MALFORMED_REQUEST if it is no kubeconfig, ALREADY_EXISTS if it stays locked
 */
export async function mergeKubeconfig(file: string, entries: readonly KubeconfigEntries[]): Promise<void> {
  await edit(file, (document) => {
    if (document === undefined) return kubeconfigText(entries);
    for (const { name, cluster, user, context } of entries) {
      if (isOfOthers(document, name)) throw taken(file, name);
      setEntry(document, "clusters", { name, cluster });
      setEntry(document, "users", { name, user });
      setEntry(document, "contexts", { name, context });
    }
    const [first] = entries;
    if (first && (entries.length === 1 || !document.get("current-context")))
      document.set("current-context", first.name);
    return textOf(document);
  });
}

/**
 * Removes contexts of ours from a kubeconfig, with their clusters and users.
 *
 * @param which whether a context is to go, by where it leads
 * @returns the names of those that are gone
 * @throws FairleadError MALFORMED_REQUEST if it is no kubeconfig, ALREADY_EXISTS if it stays locked
 */
export async function removeFromKubeconfig(file: string, which: (origin: Origin) => boolean): Promise<string[]> {
  const gone: string[] = [];
  await edit(file, (document) => {
    if (document === undefined) return undefined;
    const contexts: { name: string; context?: Partial<KubeconfigEntries["context"]> }[] =
      document.toJS().contexts ?? [];
    for (const { name, context } of contexts) {
      const origin = context?.extensions?.find((each) => each.name === EXTENSION)?.extension;
      if (origin && which(origin)) gone.push(name);
    }
    if (gone.length === 0) return undefined;
    for (const list of ["clusters", "users", "contexts"]) removeEntries(document, list, gone);
    if (gone.includes(String(document.get("current-context")))) document.set("current-context", "");
    return textOf(document);
  });
  return gone;
}

/** Changes a kubeconfig under its lock. @param change gives its new text; undefined to leave it as it is */
async function edit(file: string, change: (document: Document | undefined) => string | undefined): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const unlock = await lock(`${file}.lock`);
  try {
    // A link stays one: what it points at is written.
    const target = await realpath(file).catch(() => file);
    const before = await readExisting(target);
    const document = before.trim() === "" ? undefined : parseDocument(before);
    if (document && (document.errors.length > 0 || !isMap(document.contents))) throw unusable(file);
    const after = change(document);
    if (after !== undefined) await writePrivately(target, after);
  } finally {
    await unlock();
  }
}

/** Long lines stay as they are. */
function textOf(document: Document): string {
  return document.toString({ lineWidth: 0 });
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
  return misuse(sentence, cause);
}

/** Whether there is something of that name which neither has our mark nor a name that only ours have. */
function isOfOthers(document: Document, name: string): boolean {
  if (name.startsWith(CONTEXT_PREFIX)) return false;
  const lists: Record<string, { name: string; context?: KubeconfigEntries["context"] }[] | undefined> = document.toJS();
  const named = (list: string) => lists[list]?.find((each) => each.name === name);
  const isOurs = named("contexts")?.context?.extensions?.some((each) => each.name === EXTENSION) ?? false;
  return !isOurs && ["clusters", "users", "contexts"].some((list) => named(list) !== undefined);
}

function taken(file: string, name: string): FairleadError {
  const sentence = `${file} has an entry ${name} that is not ours, and it is left as it is; take another --context-name`;
  return new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, sentence);
}

function setEntry(document: Document, list: string, entry: { name: string; [key: string]: unknown }): void {
  removeEntries(document, list, [entry.name]);
  const node = document.get(list);
  const entries = isSeq(node) ? node : new YAMLSeq();
  if (!isSeq(node)) document.set(list, entries);
  entries.add(document.createNode(entry));
}

function removeEntries(document: Document, list: string, names: readonly string[]): void {
  const node = document.get(list);
  if (isSeq(node)) node.items = node.items.filter((item) => !(isMap(item) && names.includes(String(item.get("name")))));
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
