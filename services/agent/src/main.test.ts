import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";

const MAIN = fileURLToPath(new URL("../bundle/main.js", import.meta.url));
const CANARY = "canary-7f3a";

let folder: string;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  await writeFile(join(folder, "token"), "flj_good\n");
  await writeFile(join(folder, "empty"), "\n");
  await mkdir(join(folder, "spoilt"));
  await writeFile(join(folder, "spoilt", "agent.json"), `{"key": "${CANARY}`);
  await writeFile(join(folder, "two-words"), `flj_${CANARY} ${CANARY}`);
  await writeFile(join(folder, "two-lines"), `flj_${CANARY}\nX-Other: ${CANARY}`);
});

afterAll(async () => {
  for (const child of running) child.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

async function run(args: string[]): Promise<{ code: number; log: string }> {
  const child = spawn(process.execPath, [MAIN, ...args]);
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  running.add(child);
  const [code] = await once(child, "close");
  running.delete(child);
  return { code, log };
}

describe("an agent does not start", () => {
  const relay = ["--relay", "https://127.0.0.1:1"];
  const state = () => ["--state-folder", join(folder, "state")];
  const token = (name = "token") => ["--join-token-file", join(folder, name), ...state()];
  const serviceAccount = (name: string) => ["--join-service-account-token-file", join(folder, name), ...state()];
  const beside = ["--identity-proxy", "unix:/nowhere/identity.sock"];
  const cases: [what: string, args: () => string[], says: RegExp][] = [
    [
      "with a relay by http",
      () => ["--relay", "http://x", ...token(), ...beside],
      /http:\/\/x: an https:\/\/ address is due/,
    ],
    ["without identity proxy", () => [...relay, ...token()], /give --identity-proxy ADDRESS, or --kubeconfig/],
    ["with both ways to one", () => [...relay, ...token(), ...beside, "--kubeconfig", "k"], /not both/],
    [
      "beside one without its configuration",
      () => [...relay, ...token(), "--kubeconfig", "k"],
      /--kubeconfig needs --authentication/,
    ],
    [
      "beside one without the cluster's name",
      () => [...relay, ...token(), "--kubeconfig", "k", "--authentication", "a"],
      /--kubeconfig needs --cluster/,
    ],
    [
      "with one by TLS without own certificate",
      () => [...relay, ...token(), "--identity-proxy", "https://127.0.0.1:1"],
      /needs --tls-cert and --tls-key/,
    ],
    ["with a token file that is missing", () => [...relay, ...token("missing"), ...beside], /has not joined yet/],
    ["with an empty token file", () => [...relay, ...token("empty"), ...beside], /is not a join token/],
    ["with a token of two words", () => [...relay, ...token("two-words"), ...beside], /is not a join token/],
    ["with a token of two lines", () => [...relay, ...token("two-lines"), ...beside], /is not a join token/],
    [
      "that has not joined without a token",
      () => [...relay, ...state(), ...beside],
      /has not joined yet: give --join-token-file FILE, and there what `fairlead clusters create` prints/,
    ],
    [
      "with a service account's token that is missing",
      () => [...relay, ...serviceAccount("missing"), ...beside],
      /has not joined yet/,
    ],
    [
      "with a service account's token that is none",
      () => [...relay, ...serviceAccount("two-words"), ...beside],
      /two-words is not a service account's token/,
    ],
    [
      "with a join token in its place",
      () => [...relay, ...serviceAccount("token"), ...beside],
      /token is not a service account's token/,
    ],
    [
      "with both kinds of tokens",
      () => [...relay, ...token(), ...serviceAccount("token"), ...beside],
      /give --join-token-file or --join-service-account-token-file, not both/,
    ],
    ["without a place for its key", () => [...relay, ...beside], /give --state-folder FOLDER, or in a cluster/],
    ["with two places for it", () => [...relay, ...token(), "--state-secret", "a/b", ...beside], /give --state-folder/],
    ["with a Secret without namespace", () => [...relay, "--state-secret", "b", ...beside], /NAMESPACE\/NAME is due/],
    ["with a Secret outside a cluster", () => [...relay, "--state-secret", "a/b", ...beside], /.+/],
    [
      "with a state that is none",
      () => [...relay, "--state-folder", join(folder, "spoilt"), ...beside],
      /agent\.json is not an agent's state; remove it/,
    ],
  ];
  let outcomes: { code: number; log: string }[];
  beforeAll(async () => {
    outcomes = await Promise.all(cases.map(([, args]) => run(args())));
  });

  it.each(cases.map(([what, , says], i) => [what, says, i] as const))("%s", (_what, says, i) => {
    expect(outcomes[i]?.code).toBe(1);
    expect(outcomes[i]?.log).toMatch(says);
    expect(outcomes[i]?.log).not.toContain(CANARY);
  });
});
