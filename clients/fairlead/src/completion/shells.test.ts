import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CertificateAuthority } from "@fairlead/certificates";
import { ClusterState } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { RelayFixture } from "../relay-fixture.ts";

const MAIN = fileURLToPath(new URL("../../bundle/main.js", import.meta.url));

/** Each prints a line for each word that the shell's own way of completing finds for $LINE. */
const SHELLS: [name: string, program: string, script: string][] = [
  [
    "bash",
    "bash",
    `source ~/bash; COMP_LINE=$LINE; COMP_POINT=\${#LINE}
     _fairlead; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ],
  ["fish", "fish", 'source ~/fish; complete -C "$LINE" | string replace -r "\\t.*" ""; true'],
  [
    "zsh",
    "zsh",
    `compdef() { : }; _describe() { print -l -- "\${(@)\${(P)2}%%:*}" }; _files() { : }
     source ~/zsh; words=("\${(@s: :)LINE}"); CURRENT=$#words; _fairlead`,
  ],
];
const isHere = (program: string): boolean => {
  try {
    return execFileSync(program, ["-c", "echo yes"]).length > 0;
  } catch {
    return false;
  }
};
const HERE = SHELLS.filter(([, program]) => isHere(program));
for (const [name] of SHELLS.filter((shell) => !HERE.includes(shell))) console.warn(`${name} is not here: not tried`);

let folder: string;
let relay: RelayFixture;
let env: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  const authority = await CertificateAuthority.create("test relays", 1);
  await writeFile(join(folder, "ca.crt"), authority.pem);
  relay = new RelayFixture(await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 }), {
    clusters: {
      listClusters: () => ({
        clusters: ["prod-eu1", "staging"].map((name) => ({ name, state: ClusterState.CONNECTED })),
      }),
    },
    accessRules: {},
  });
  await relay.start();
  for (const name of ["fairlead", "kubectl-fairlead", "kubectl_complete-fairlead"]) {
    await symlink(MAIN, join(folder, `${name}.js`));
    const lines = ["#!/bin/sh", `exec '${process.execPath}' '${join(folder, name)}.js' "$@"`];
    await writeFile(join(folder, name), `${lines.join("\n")}\n`, { mode: 0o755 });
  }
  env = {
    ...{ PATH: `${folder}:${process.env.PATH}`, HOME: folder },
    ...(process.env.NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }),
    ...{ FAIRLEAD_RELAY: relay.url.origin, FAIRLEAD_RELAY_CA: join(folder, "ca.crt"), FAIRLEAD_TOKEN: "a.token" },
  };
  for (const [name] of HERE) await writeFile(join(folder, name), await run("fairlead", ["completion", name]));
});

afterAll(async () => {
  await relay.stop();
  await rm(folder, { recursive: true });
});

async function run(program: string, args: string[], other: Record<string, string> = {}): Promise<string> {
  return (await promisify(execFile)(program, args, { env: { ...env, ...other } })).stdout;
}

describe.each(HERE)("%s", (_name, program, script) => {
  it.each([
    ["a command", "fairlead kub", ["kubeconfig"]],
    ["a command of a command", "fairlead clusters jo", ["join-service-account", "join-token"]],
    ["an option", "fairlead proxy --dp", ["--dpop-key"]],
    ["an option's value", "fairlead clusters --output w", ["wide"]],
    ["a cluster, of those that the relay lists", "fairlead proxy ", ["prod-eu1", "staging"]],
    ["a cluster behind options", "fairlead --relay-ca ca.crt proxy --port 8080 pr", ["prod-eu1"]],
  ])("completes %s", async (_what, line, words) => {
    const found = await run(program, ["-c", script], { LINE: line.replace("ca.crt", join(folder, "ca.crt")) });
    expect(found.split("\n").filter(Boolean).sort()).toEqual(words);
  });
});

describe("a completion", () => {
  it("is nothing, soon and silently, where no relay answers", async () => {
    expect(await run("fairlead", ["__complete", "proxy", ""], { FAIRLEAD_RELAY: "https://127.0.0.1:1" })).toBe(":4\n");
    expect(await run("fairlead", ["__complete", "proxy", ""], { FAIRLEAD_TOKEN: "" })).toBe(":4\n");
  });

  it("leaves files to the shell", async () => {
    expect(await run("fairlead", ["__complete", "proxy", "--token-file", ""])).toBe(":0\n");
  });
});

describe("as a plugin of kubectl's", () => {
  it("is called what the user has typed, in usage and examples", async () => {
    const help = await run("kubectl-fairlead", ["clusters", "--help"]);
    expect(help).toMatch(/^Usage: kubectl fairlead clusters \[options\] \[command\]\n/);
    expect(help).toMatch(/^ {2}kubectl fairlead clusters --watch$/m);
  });

  it("completes as kubectl asks for it", async () => {
    expect(await run("kubectl_complete-fairlead", ["acc"])).toMatch(/^access\texplain .*\n:4\n$/);
  });
});
