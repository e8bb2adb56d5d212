import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";

/** Halves the time that a process takes to start from its source. */
const COMPILE_CACHE = fileURLToPath(new URL("../../../.cache/compiled", import.meta.url));
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const FLAGS = [
  "--experimental-transform-types",
  "--disable-warning=ExperimentalWarning",
  "--conditions=@fairlead/source",
];
const CANARY = "canary-7f3a";

let folder: string;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  await writeFile(join(folder, "token"), "fla_good\n");
  await writeFile(join(folder, "empty"), "\n");
  await writeFile(join(folder, "two-words"), `${CANARY} ${CANARY}`);
  await writeFile(join(folder, "two-lines"), `${CANARY}\nX-Other: ${CANARY}`);
});

afterAll(async () => {
  for (const child of running) child.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

async function run(args: string[]): Promise<{ code: number; log: string }> {
  const { NODE_OPTIONS: _jestOwn, ...inherited } = process.env;
  const env = { ...inherited, NODE_COMPILE_CACHE: COMPILE_CACHE };
  const child = spawn(process.execPath, [...FLAGS, MAIN, ...args], { env });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  running.add(child);
  const [code] = await once(child, "close");
  running.delete(child);
  return { code, log };
}

describe("an agent does not start", () => {
  const relay = ["--relay", "https://127.0.0.1:1"];
  const token = (name = "token") => ["--token-file", join(folder, name)];
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
    ["with a token file that is missing", () => [...relay, ...token("missing"), ...beside], /ENOENT/],
    ["with an empty token file", () => [...relay, ...token("empty"), ...beside], /is not an agent's token/],
    ["with a token of two lines", () => [...relay, ...token("two-lines"), ...beside], /is not an agent's token/],
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
