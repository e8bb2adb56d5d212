import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ErrorCode, Hop, ScopeSchema } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import {
  defaultKubeconfig,
  type KubeconfigEntries,
  kubeconfigText,
  localEntries,
  mergeKubeconfig,
  removeFromKubeconfig,
  withOrigin,
  writeKubeconfig,
} from "./kubeconfig.ts";

const IDENTITY = { port: 20_443, localToken: "local-token", cert: "-----BEGIN CERTIFICATE-----", key: "secret-key" };
const ENTRIES = localEntries("fairlead-prod", "", IDENTITY);

/** What a person keeps: comments, an order, other programs' entries, a long line. */
const OWN = `# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
# the old one
- cluster:
    server: https://old.example:6443   # do not touch
    certificate-authority-data: ${"QUJD".repeat(300)}
  name: old
users:
- name: old
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: get-token
      args:
      - --comment=${"a long argument with blanks that some would fold ".repeat(4)}end
      interactiveMode: Never
contexts:
- context: {cluster: old, user: old}
  name: old
current-context: old
extensions:
- name: of-another-program
  extension: {yes: "no", on: 1e3, oct: 0o17}
# the end
`;

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  file = join(folder, ".kube", "config");
});

afterEach(() => rm(folder, { recursive: true }));

async function keep(text: string): Promise<void> {
  await mkdir(join(folder, ".kube"), { recursive: true });
  await writeFile(file, text, { mode: 0o644 });
}

const text = () => readFile(file, "utf8");
const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
const named = (list: { name: string }[], name: string) => list.filter((entry) => entry.name === name);

describe("the entries of a cluster", () => {
  it("point at the local proxy, with its certificate and its token", () => {
    expect(ENTRIES).toEqual({
      name: "fairlead-prod",
      cluster: {
        server: "https://127.0.0.1:20443",
        "certificate-authority-data": Buffer.from(IDENTITY.cert).toString("base64"),
      },
      user: { token: "local-token" },
      context: { cluster: "fairlead-prod", user: "fairlead-prod" },
    });
  });

  it("have a name and a credential of their own for a context with a scope, beside the full one", async () => {
    const scoped = localEntries("fairlead-prod", "team-a", IDENTITY, create(ScopeSchema, { readOnly: true }));
    const name = "fairlead-prod:read-only";
    expect(scoped).toMatchObject({ name, context: { cluster: name, user: name, namespace: "team-a" } });
    expect(scoped.cluster).toEqual(ENTRIES.cluster);
    expect(scoped.user).toEqual({ token: expect.stringMatching(/^fls1\./) });
    expect(kubeconfigText([scoped])).not.toContain(IDENTITY.localToken);
    await mergeKubeconfig(file, [ENTRIES]);
    await mergeKubeconfig(file, [scoped]);
    const merged = parse(await text());
    expect(merged.users.map((user: { name: string }) => user.name)).toEqual(["fairlead-prod", name]);
    expect(merged["current-context"]).toBe(name);
  });

  it("name a namespace where the relay does", () => {
    expect(localEntries("fairlead-prod", "team-a", IDENTITY).context.namespace).toBe("team-a");
  });

  it("are a kubeconfig by themselves, without the proxy's key", () => {
    const kubeconfig = kubeconfigText([ENTRIES]);
    expect(parse(kubeconfig)).toEqual({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "fairlead-prod", cluster: ENTRIES.cluster }],
      users: [{ name: "fairlead-prod", user: ENTRIES.user }],
      contexts: [{ name: "fairlead-prod", context: ENTRIES.context }],
      "current-context": "fairlead-prod",
    });
    expect(kubeconfig).not.toContain("secret-key");
  });

  it("are written to a file of their own, 0600, in folders that are made 0700", async () => {
    await writeKubeconfig(file, [ENTRIES]);
    expect(await text()).toBe(kubeconfigText([ENTRIES]));
    expect([await mode(file), await mode(join(folder, ".kube"))]).toEqual(["600", "700"]);
  });
});

describe("merged into a kubeconfig, the entries", () => {
  it("make one that is not there, 0600", async () => {
    await mergeKubeconfig(file, [ENTRIES]);
    expect(await text()).toBe(kubeconfigText([ENTRIES]));
    expect([await mode(file), await mode(join(folder, ".kube"))]).toEqual(["600", "700"]);
    expect(await readdir(join(folder, ".kube"))).toEqual(["config"]);
  });

  it.each([[""], ["\n"], ["  \n\n"]])("make one where it is %j", async (before) => {
    await keep(before);
    await mergeKubeconfig(file, [ENTRIES]);
    expect(await text()).toBe(kubeconfigText([ENTRIES]));
  });

  it("stand beside what was there, and are current", async () => {
    await keep(OWN);
    await mergeKubeconfig(file, [ENTRIES]);
    const [before, after] = [parse(OWN), parse(await text())];
    expect(after).toEqual({
      ...before,
      clusters: [...before.clusters, { name: "fairlead-prod", cluster: ENTRIES.cluster }],
      users: [...before.users, { name: "fairlead-prod", user: ENTRIES.user }],
      contexts: [...before.contexts, { name: "fairlead-prod", context: ENTRIES.context }],
      "current-context": "fairlead-prod",
    });
  });

  it("leave comments, order, spelling and long lines as they were", async () => {
    await keep(OWN);
    await mergeKubeconfig(file, [ENTRIES]);
    const after = (await text()).split("\n").map((line) => line.trim().replace(/ +#/, " #"));
    const missing = OWN.split("\n")
      .map((line) => line.trim().replace(/ +#/, " #"))
      .filter((line) => !after.includes(line) && !line.startsWith("current-context") && !line.includes("{"));
    expect(missing).toEqual([]);
    expect(after.at(-2)).toBe("# the end");
  });

  it("make the file 0600: a token is in it now", async () => {
    await keep(OWN);
    await mergeKubeconfig(file, [ENTRIES]);
    expect(await mode(file)).toBe("600");
  });

  it("take the place of those of the same name, and change nothing when they are the same", async () => {
    await keep(OWN);
    const old = { ...IDENTITY, port: 1, localToken: "old" };
    await mergeKubeconfig(file, [localEntries("fairlead-prod", "old-namespace", old)]);
    await mergeKubeconfig(file, [ENTRIES]);
    const once = await text();
    const { clusters, users, contexts } = parse(once);
    expect(named(clusters, "fairlead-prod")).toEqual([{ name: "fairlead-prod", cluster: ENTRIES.cluster }]);
    expect(named(users, "fairlead-prod")).toEqual([{ name: "fairlead-prod", user: ENTRIES.user }]);
    expect(named(contexts, "fairlead-prod")).toEqual([{ name: "fairlead-prod", context: ENTRIES.context }]);
    expect(once).not.toMatch(/old-namespace|token: old/);
    await mergeKubeconfig(file, [ENTRIES]);
    expect(await text()).toBe(once);
  });

  it.each([
    ["no lists", "apiVersion: v1\nkind: Config\n"],
    ["empty lists", "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n"],
    [
      "lists that are null, as kubectl writes them",
      "clusters: null\nusers: null\ncontexts: null\ncurrent-context: ''\n",
    ],
    ["JSON", '{"apiVersion":"v1","kind":"Config","clusters":[],"users":[],"contexts":[],"current-context":""}'],
  ])("come into one with %s", async (_what, before) => {
    await keep(before);
    await mergeKubeconfig(file, [ENTRIES]);
    const after = parse(await text());
    expect(after).toMatchObject({
      clusters: [{ name: "fairlead-prod" }],
      users: [{ name: "fairlead-prod" }],
      contexts: [{ name: "fairlead-prod" }],
      "current-context": "fairlead-prod",
    });
  });

  it("follow a link to the file, which stays a link", async () => {
    const real = join(folder, "dotfiles-config");
    await writeFile(real, OWN);
    await mkdir(join(folder, ".kube"));
    await symlink(real, file);
    await mergeKubeconfig(file, [ENTRIES]);
    expect((await lstat(file)).isSymbolicLink()).toBe(true);
    expect(parse(await readFile(real, "utf8"))["current-context"]).toBe("fairlead-prod");
    expect(await mode(real)).toBe("600");
  });

  it("of several that come at the same time are all there at the end", async () => {
    await keep(OWN);
    const all: KubeconfigEntries[] = Array.from({ length: 5 }, (_, i) => localEntries(`fairlead-${i}`, "", IDENTITY));
    await Promise.all(all.map((entries) => mergeKubeconfig(file, [entries])));
    const { clusters, contexts, users } = parse(await text());
    for (const list of [clusters, contexts, users]) expect(list).toHaveLength(6);
    expect(await readdir(join(folder, ".kube"))).toEqual(["config"]);
  });
});

describe("a kubeconfig that cannot be merged into", () => {
  const refused = expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.CLIENT_PROXY });

  it.each([
    ["broken", "clusters: ["],
    ["a list", "- a\n- b\n"],
    ["a text", "hello\n"],
    ["two documents", "kind: Config\n---\nkind: Config\n"],
    ["with a key twice", "kind: Config\nkind: Config\n"],
    ["with tabs", "kind:\tConfig\nclusters:\n\t- name: a\n"],
  ])("because it is %s stays as it was, and is named", async (_what, before) => {
    await keep(before);
    const merged = mergeKubeconfig(file, [ENTRIES]);
    await expect(merged).rejects.toEqual(refused);
    await expect(merged).rejects.toThrow(/config is not a kubeconfig; give --file FILE/);
    expect(await text()).toBe(before);
    expect(await readdir(join(folder, ".kube"))).toEqual(["config"]);
  });

  it("because it cannot be read is not taken for an empty one", async () => {
    await mkdir(join(file, "inner"), { recursive: true }); // a folder: even root cannot read it as a file
    const merged = mergeKubeconfig(file, [ENTRIES]);
    await expect(merged).rejects.toEqual(refused);
    await expect(merged).rejects.toThrow(/config cannot be read; give --file FILE/);
    expect(await readdir(join(folder, ".kube"))).toEqual(["config"]);
  });

  it("because another program holds its lock is left alone, and the lock is named", async () => {
    await keep(OWN);
    await writeFile(`${file}.lock`, "");
    const merged = mergeKubeconfig(file, [ENTRIES]);
    await expect(merged).rejects.toMatchObject({ code: ErrorCode.ALREADY_EXISTS, hop: Hop.CLIENT_PROXY });
    await expect(merged).rejects.toThrow(/locked by another program; if none runs, remove .*config\.lock/);
    expect(await text()).toBe(OWN);
    expect(await readdir(join(folder, ".kube"))).toEqual(["config", "config.lock"]); // it is not ours to remove
  });

  it("while its lock is held is merged into when the lock is free", async () => {
    await keep(OWN);
    await writeFile(`${file}.lock`, "");
    const merged = mergeKubeconfig(file, [ENTRIES]);
    await rm(`${file}.lock`);
    await merged;
    expect(parse(await text())["current-context"]).toBe("fairlead-prod");
  });
});

describe("the kubeconfig that is merged into", () => {
  const before = process.env.KUBECONFIG;
  afterEach(() => {
    if (before === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = before;
  });

  it.each<[value: string | undefined, file: RegExp]>([
    ["/a/config", /^\/a\/config$/],
    [`/a/config${delimiter}/b/config`, /^\/a\/config$/],
    [`${delimiter}/b/config`, /^\/b\/config$/],
    ["", /\.kube\/config$/],
    [undefined, /\.kube\/config$/],
  ])("is the first that KUBECONFIG names: %j", (value, path) => {
    if (value === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = value;
    expect(defaultKubeconfig()).toMatch(path);
  });
});

describe("several contexts at once", () => {
  const of = (cluster: string, relay = "https://relay.example.com") =>
    withOrigin(localEntries(`fairlead-${cluster}`, "", { ...IDENTITY, port: 20_000 }), { relay, cluster });

  it("are all put in, and the current one stays what it was", async () => {
    await keep(OWN);
    await mergeKubeconfig(file, [of("a"), of("b"), of("c")]);
    const merged = parse(await text());
    expect(merged.contexts.map((each: { name: string }) => each.name)).toEqual([
      ...["old", "fairlead-a", "fairlead-b", "fairlead-c"],
    ]);
    expect(merged["current-context"]).toBe("old");
  });

  it("have the first for the current one where there was none", async () => {
    await mergeKubeconfig(file, [of("a"), of("b")]);
    expect(parse(await text())["current-context"]).toBe("fairlead-a");
  });

  it("are removed again by where they lead, and leave the kubeconfig as it was, comments too", async () => {
    await keep(OWN);
    await mergeKubeconfig(file, [of("a"), of("b")]);
    expect(await removeFromKubeconfig(file, () => true)).toEqual(["fairlead-a", "fairlead-b"]);
    expect(parse(await text())).toEqual(parse(OWN));
    expect(await text()).toContain("# do not touch");
  });

  it("are removed one by one, whatever they are named", async () => {
    const renamed = withOrigin(localEntries("my-prod", "", IDENTITY), {
      relay: "https://relay.example.com",
      cluster: "a",
    });
    await mergeKubeconfig(file, [renamed, of("b")]);
    expect(await removeFromKubeconfig(file, ({ cluster }) => cluster === "a")).toEqual(["my-prod"]);
    const left = parse(await text());
    expect([left.contexts.length, left.clusters.length, left.users.length]).toEqual([1, 1, 1]);
    expect(left["current-context"]).toBe("");
  });

  it("that are not ours stay, also where they are named like ours", async () => {
    const alien = OWN.replaceAll("name: old", "name: fairlead-old");
    await keep(alien);
    expect(await removeFromKubeconfig(file, () => true)).toEqual([]);
    expect(await text()).toBe(alien);
  });

  it("are none in a kubeconfig that is not there, and it is not made", async () => {
    expect(await removeFromKubeconfig(file, () => true)).toEqual([]);
    await expect(stat(file)).rejects.toThrow();
  });
});
