import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { impersonationRules } from "@fairlead/authorization";
import { CertificateAuthority } from "@fairlead/certificates";
import { AccessLevel, ClusterState, ErrorCode, ErrorSchema, FairleadError, Hop } from "@fairlead/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { RelayFixture } from "./relay-fixture.ts";

const MAIN = fileURLToPath(new URL("../bundle/main.js", import.meta.url));
const UNTIL_MS = Date.parse("2027-01-01T00:00:00Z");
const TOKEN = "callers.canary-7f3a.token";
/** Names of contexts that a hostile relay gives. */
const CONTEXTS: Record<string, string> = { a: "production-admin", b: "fairlead-other", c: "" };
/** Addresses of clusters that a hostile relay, or one that serves none, gives. */
const DIRECT: Record<string, string> = { d: "http://evil/x", e: "https://user@evil/", f: "https://evil/?a", g: "" };

let folder: string;
let relay: RelayFixture;
/** The time limits of the watches that were asked for. */
let timeouts: (string | null)[];
let seen: { call: string; authorization: string | null; message: unknown }[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  const authority = await CertificateAuthority.create("test relays", 1);
  await writeFile(join(folder, "ca.crt"), authority.pem);
  await writeFile(join(folder, "token"), `${TOKEN}\n`);
  const note = (call: string, answer: (message: { name?: string; cluster?: string }) => object) => {
    return (message: object, context: { requestHeader: Headers }) => {
      seen.push({ call, authorization: context.requestHeader.get("authorization"), message });
      return answer(message);
    };
  };
  const cluster = {
    ...{ name: "prod", labels: { env: "prod" }, state: ClusterState.CONNECTED, stateTime: timestampFromMs(0) },
    ...{ agentVersion: "0.1.0", agentReplicas: 2, kubernetesVersion: "v1.36.3", nodeCount: 3 },
  };
  const away = {
    ...{ name: "away", state: ClusterState.OFFLINE, stateTime: timestampFromMs(60_000) },
    stateReason: "no agent is attached: it left\u001b[2J",
  };
  relay = new RelayFixture(await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 }), {
    clusters: {
      listClusters: note("listClusters", () => ({ clusters: [cluster, away] })),
      watchClusters: async function* (_message, { requestHeader }) {
        timeouts.push(requestHeader.get("grpc-timeout"));
        yield { cluster };
        yield { cluster: away };
        yield { cluster: { name: "prod" }, removed: true };
      },
      getKubeconfig: note("getKubeconfig", ({ cluster: asked = "" }) => {
        const contextName = CONTEXTS[asked] ?? `fairlead-${asked}`;
        return { cluster, contextName, namespace: "team-a", directUrl: DIRECT[asked] ?? `/clusters/${asked}` };
      }),
      createCluster: note("createCluster", ({ name = "" }) => {
        if (name === "taken")
          throw refusal(ErrorCode.ALREADY_EXISTS, Code.AlreadyExists, "there is a cluster taken already");
        return {
          cluster: { ...cluster, name },
          joinToken: { token: "flj_once", expireTime: { seconds: 1_900_000_000n, nanos: 0 } },
        };
      }),
      createJoinToken: note("createJoinToken", () => ({
        joinToken: { token: "flj_again", expireTime: timestampFromMs(1_900_000_000_000) },
      })),
      setServiceAccountJoin: note("setServiceAccountJoin", () => ({})),
      deleteCluster: note("deleteCluster", () => ({})),
    },
    accessRules: {
      listAccessRules: note("listAccessRules", () => ({ accessRules: [] })),
      createAccessRule: note("createAccessRule", () => ({})),
      updateAccessRule: note("updateAccessRule", () => ({})),
      deleteAccessRule: note("deleteAccessRule", () => ({})),
      explainAccess: note("explainAccess", ({ cluster: asked }) => ({
        level: asked === "prod" ? AccessLevel.READ_ONLY : AccessLevel.DENIED,
        ...(asked === "prod" && { untilTime: timestampFromMs(UNTIL_MS) }),
        rules:
          asked === "prod"
            ? [{ accessRule: { name: "viewers", users: ["jane"], readOnly: true }, applies: true, reason: "it is so" }]
            : [],
      })),
    },
  });
  await relay.start();
});

afterAll(async () => {
  await relay.stop();
  await rm(folder, { recursive: true });
});

beforeEach(() => {
  seen = [];
  timeouts = [];
});

function refusal(code: ErrorCode, grpc: Code, sentence: string): ConnectError {
  const value = new FairleadError(code, Hop.RELAY, sentence).toMessage();
  return new ConnectError(sentence, grpc, undefined, [{ desc: ErrorSchema, value }]);
}

/** The program as a process. Nothing of the machine's own is in its environment. */
function start(args: string[], environment: Record<string, string> = {}) {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  const own = { HOME: folder, XDG_STATE_HOME: join(folder, "state"), PATH, NODE_COMPILE_CACHE };
  const env = { ...own, ...environment };
  return spawn(process.execPath, [MAIN, ...args], { env });
}

interface Outcome {
  code: number;
  out: string;
  told: string;
}

async function run(args: string[], environment?: Record<string, string>, input = ""): Promise<Outcome> {
  const child = start(args, environment);
  let [out, told] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (told += text));
  child.stdin.end(input);
  const [code] = await once(child, "close");
  return { code, out, told };
}

/** What every command that talks to the relay is given. */
const toRelay = () => [
  "--relay",
  relay.url.origin,
  "--relay-ca",
  join(folder, "ca.crt"),
  "--token-file",
  join(folder, "token"),
];

describe("rbac", () => {
  const AUTHENTICATION = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer: { url: "https://issuer.example.com", audiences: [fairlead] }
    claimMappings:
      username: { claim: sub, prefix: "" }
      uid: { claim: sub }
      extra: [{ key: example.com/team, valueExpression: claims.team }]
`;

  it("has a right for the uid and each extra that an authentication configuration maps", async () => {
    const file = join(folder, "auth.yaml");
    await writeFile(file, AUTHENTICATION);
    const { code, out } = await run(["rbac", "--authentication", file, "--allow-as", "--output", "json"]);
    expect(code).toBe(0);
    const [role, binding] = JSON.parse(out).items;
    expect(role.rules).toEqual(impersonationRules({ uids: true, extraKeys: ["example.com/team"], actingAs: true }));
    expect(binding.roleRef.name).toBe(role.metadata.name);
  });

  it("says what is wrong with the file", async () => {
    const file = join(folder, "bad-auth.yaml");
    await writeFile(file, AUTHENTICATION.replace("https://", "http://"));
    const { code, out, told } = await run(["rbac", "--authentication", file]);
    expect([code === 0, out]).toEqual([false, ""]);
    expect(told).toMatch(/--authentication: .*bad-auth.yaml: jwt\[0\]\.issuer\.url: an https:\/\/ URL is due/);
  });
});

describe("doctor", () => {
  it("exits 1, and names the hop on standard output alone, as text and as JSON", async () => {
    const closed = ["doctor", "prod", "--relay", "https://127.0.0.1:1"];
    const [text, json] = await runAll([closed, [...closed, "--output", "json"]]);
    expect(text).toMatchObject({ code: 1, told: "" });
    expect(text?.out).toMatch(/^ok {7}name .*\nfailed {3}connection .*\n(.*\n)+What to do: nothing listens there/);
    expect(json).toMatchObject({ code: 1, told: "" });
    expect(JSON.parse(json?.out ?? "")).toMatchObject({
      healthy: false,
      cluster: "prod",
      failed: { check: "connection" },
    });
  });

  it("needs no token before it is known that a relay answers", async () => {
    const { code, out } = await run(["doctor", ...toRelay().slice(0, 4)]);
    expect(code).toBe(1);
    expect(out).toMatch(/gRPC fails: HTTP 404.*\nWhat to do: that is no relay, or one that is older/);
    expect(seen).toEqual([]);
  });

  it.each([
    [["doctor"], /which relay\? run `fairlead login https:.*`, or give --relay/],
    [["doctor", "--relay", "https://127.0.0.1:1", "--hold", "soon"], /a whole number of seconds is due/],
  ])("does not look with %j", async (args, says) => {
    const { code, out, told } = await run(args);
    expect([code, out]).toEqual([1, ""]);
    expect(told).toMatch(says);
  });
});

describe("--help", () => {
  const commands = [
    [],
    ["proxy"],
    ["forward"],
    ["clusters"],
    ["clusters", "create"],
    ["clusters", "delete"],
    ["kubeconfig"],
    ["get-token"],
    ["rules"],
    ["rules", "create"],
    ["rules", "update"],
    ["rules", "delete"],
    ["access"],
    ["access", "explain"],
    ["rbac"],
    ["doctor"],
    ["login"],
    ["logout"],
    ["whoami"],
    ["profiles"],
    ["profiles", "use"],
    ["profiles", "remove"],
    ["exec"],
    ["completion"],
  ];

  it("of every command is listed, has examples that are commands, and names the global options", async () => {
    const outcomes = await runAll(commands.map((command) => [...command, "--help"]));
    for (const [i, { code, out, told }] of outcomes.entries()) {
      const command = ["fairlead", ...(commands[i] ?? [])].join(" ");
      expect([command, code, told]).toEqual([command, 0, ""]);
      const [, examples = ""] = /\nExamples?:\n([\s\S]*)$/.exec(out) ?? [];
      expect([command, examples.includes(command)]).toEqual([command, true]);
      expect([command, /--relay <url>/.test(out)]).toEqual([command, true]);
    }
    for (const [command] of commands.slice(1)) expect(outcomes[0]?.out).toMatch(new RegExp(`^  ${command} `, "m"));
  });
});

/** Runs all at once, for tests that look at one each. */
async function runAll(commands: string[][]): Promise<Outcome[]> {
  return Promise.all(commands.map((args) => run(args)));
}

describe("a command that is not understood", () => {
  const mistakes: [what: string, args: string[], says: RegExp][] = [
    ["an unknown command", ["nonsense"], /unknown command 'nonsense'/],
    ["an unknown option", ["clusters", "--nonsense"], /unknown option '--nonsense'/],
    ["no cluster", ["proxy"], /which clusters\? name them, or give --all/],
    ["a cluster by name and all of them", ["proxy", "prod", "--all"], /not both/],
    ["one argument too many", ["whoami", "a"], /too many arguments/],
    ["an unknown format", ["clusters", "--output", "xml"], /Allowed choices are text, wide, json, yaml, name/],
    [
      "a format that the command has not",
      ["rbac", "--output", "wide"],
      /rbac cannot answer as wide, but as text, json/,
    ],
    ["a port that is none", ["proxy", "prod", "--port", "70000"], /a port is 1 to 65535/],
    ["no port to forward", ["forward", "prod", "svc/web"], /missing required argument 'ports'/],
    ["a port to forward that is none", ["forward", "prod", "svc/web", "80", "http"], /http is no port; write PORT/],
    [
      "something else than a Service to forward to",
      ["forward", "prod", "pod/web", "80"],
      /no Service; write svc\/NAME/,
    ],
    ["nothing", [], /Usage: fairlead/],
  ];
  let outcomes: Outcome[];
  beforeAll(async () => {
    outcomes = await runAll(mistakes.map(([, args]) => args));
  });

  it.each(mistakes.map(([what, , says], i) => [what, says, i] as const))(
    "with %s exits non-zero and says so on standard error",
    (_what, says, i) => {
      const { code, out, told } = outcomes[i] ?? {};
      expect(code).not.toBe(0);
      expect(out).toBe("");
      expect(told).toMatch(says);
      expect(told).not.toMatch(/\n +at /); // no stack
    },
  );
});

describe("a command that fails", () => {
  const failures: [what: string, args: () => string[], code: string, hop: string, says: RegExp][] = [
    [
      "without relay",
      () => ["clusters"],
      "MALFORMED_REQUEST",
      "client proxy",
      /run `fairlead login https:\/\/HOST:PORT`, or give --relay, or set FAIRLEAD_RELAY/,
    ],
    [
      "with a relay by http",
      () => ["clusters", "--relay", "http://x", "--token-file", join(folder, "token")],
      "MALFORMED_REQUEST",
      "client proxy",
      /give https:\/\/HOST:PORT/,
    ],
    [
      "without token",
      () => ["clusters", "--relay", relay.url.origin],
      "TOKEN_REFUSED",
      "client proxy",
      /give one with --token-file FILE/,
    ],
    [
      "with a token file that is missing",
      () => ["clusters", ...toRelay().slice(0, 4), "--token-file", "/missing"],
      "TOKEN_REFUSED",
      "client proxy",
      /the token file \/missing cannot be read/,
    ],
    [
      "without the relay's authority",
      () => ["clusters", "--relay", relay.url.origin, "--token-file", join(folder, "token")],
      "UNREACHABLE",
      "relay",
      /--relay-ca FILE/,
    ],
    [
      "with an authority that is missing",
      () => ["clusters", "--relay", relay.url.origin, "--relay-ca", "/missing", "--token-file", join(folder, "token")],
      "MALFORMED_REQUEST",
      "client proxy",
      /\/missing cannot be read/,
    ],
    [
      "when nobody listens",
      () => ["rules", "--relay", "https://127.0.0.1:1", "--token-file", join(folder, "token")],
      "UNREACHABLE",
      "relay",
      /check the address, your network/,
    ],
    [
      "when the relay refuses",
      () => ["clusters", "create", "taken", ...toRelay()],
      "ALREADY_EXISTS",
      "relay",
      /there is a cluster taken already/,
    ],
    [
      "with a label that is none",
      () => ["clusters", "create", "a", "--label", "env", ...toRelay()],
      "MALFORMED_REQUEST",
      "client proxy",
      /env is not a label; write key=value/,
    ],
  ];

  let outcomes: Outcome[];
  beforeAll(async () => {
    outcomes = await runAll(failures.map(([, args]) => [...args(), "--output", "json"]));
  });

  it.each(failures.map(([what, , code, hop, says], i) => [what, code, hop, says, i] as const))(
    "%s exits 1 with one sentence, and tells a program the same as JSON",
    (_what, code, hop, says, i) => {
      const outcome = outcomes[i];
      expect(outcome?.code).toBe(1);
      expect(outcome?.told).toMatch(new RegExp(`^error: fairlead: ${hop}: [^\\n]+\\n$`));
      expect(outcome?.told).toMatch(says);
      const { error } = JSON.parse(outcome?.out ?? "");
      expect(error).toEqual({ code, hop, message: expect.stringMatching(says) });
      expect(JSON.stringify(outcome)).not.toContain(TOKEN);
    },
  );

  it("exits soon: the deadline of a call that was never made does not keep it for 5 s", async () => {
    const took = async (args: string[]) => {
      const from = performance.now();
      await run(args);
      return performance.now() - from;
    };
    const aloneMs = await took(["--version"]);
    const failedMs = await took(["clusters", "--relay", "https://127.0.0.1:1", "--token-file", "/missing"]);
    expect(failedMs - aloneMs).toBeLessThan(4_000);
  });

  it("prints JSON with --output=json too, and nothing on standard output without", async () => {
    const [json, text] = await runAll([["clusters", "--output=json"], ["clusters"]]);
    expect(JSON.parse(json?.out ?? "")).toMatchObject({ error: { code: "MALFORMED_REQUEST" } });
    expect([text?.code, text?.out]).toEqual([1, ""]);
  });

  it("exits 1 when certificates are not verified in its environment", async () => {
    const environment = { NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    const commands = [["proxy", "prod"], ["clusters"]];
    const outcomes = await Promise.all(commands.map((command) => run([...command, ...toRelay()], environment)));
    for (const { code, told } of outcomes) {
      expect(code).toBe(1);
      expect(told).toMatch(/NODE_TLS_REJECT_UNAUTHORIZED=0 turns off all verification/);
    }
    expect(seen).toEqual([]);
  });
});

describe("a command that succeeds", () => {
  it("answers people with a table, and sends the token from the file", async () => {
    const { code, out, told } = await run(["clusters", ...toRelay()]);
    expect([code, told]).toEqual([0, ""]);
    expect(out.split("\n")).toEqual([
      "NAME   STATE       SINCE                      AGENT       KUBERNETES   NODES   LABELS",
      "prod   Connected   1970-01-01T00:00:00.000Z   0.1.0 (2)   v1.36.3      3       env=prod",
      "away   Offline     1970-01-01T00:01:00.000Z   -           -            -",
      "",
      "away is Offline: no agent is attached: it left\ufffd[2J",
      "",
    ]);
    expect(seen).toMatchObject([{ call: "listClusters", authorization: `Bearer ${TOKEN}` }]);
  });

  it("answers programs with JSON", async () => {
    const { out } = await run(["clusters", "--output", "json", ...toRelay()]);
    expect(JSON.parse(out)).toMatchObject([
      {
        ...{ name: "prod", labels: { env: "prod" }, state: "Connected", since: "1970-01-01T00:00:00.000Z" },
        ...{ agentVersion: "0.1.0", agentReplicas: 2, kubernetesVersion: "v1.36.3", nodeCount: 3, capped: false },
      },
      { name: "away", state: "Offline", reason: expect.stringMatching(/^no agent is attached: it left/) },
    ]);
  });

  it("prints the clusters and each change of them, a line each, for people and for programs", async () => {
    const { code, out } = await run(["clusters", "--watch", ...toRelay()]);
    const [first, second, third] = out.split("\n");
    expect(timeouts).toEqual([null]); // it has no end
    expect([code, first]).toEqual([0, "1970-01-01T00:00:00.000Z  prod  Connected"]);
    expect(second).toMatch(/^1970-01-01T00:01:00.000Z {2}away {2}Offline: no agent is attached: it left/);
    expect(third).toMatch(/ {2}prod {2}removed$/);
    const lines = (await run(["clusters", "--watch", "--output", "json", ...toRelay()])).out.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { name: "prod", state: "Connected" },
      { name: "away", state: "Offline" },
      { name: "prod", removed: true },
    ]);
  });

  it("prints a join token for a cluster that is there", async () => {
    const { out, told } = await run(["clusters", "join-token", "prod", ...toRelay()]);
    expect(out).toBe("flj_again\n");
    expect(told).toMatch(/This join token counts once, for one agent, until 2030-/);
    const json = await run(["clusters", "join-token", "prod", "--output", "json", ...toRelay()]);
    expect(JSON.parse(json.out)).toMatchObject({ joinToken: "flj_again", expires: expect.stringMatching(/^2030-/) });
  });

  it("takes the token from standard input, or from the environment, and the rest too", async () => {
    const [url, ca] = [relay.url.origin, join(folder, "ca.crt")];
    const environment = { FAIRLEAD_RELAY: url, FAIRLEAD_RELAY_CA: ca };
    const outcomes = await Promise.all([
      run(["clusters", "--token-file", "-"], environment, "of.standard.input\n"),
      run(["clusters"], { ...environment, FAIRLEAD_TOKEN: "of.the.environment" }),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
    expect(seen.map(({ authorization }) => authorization).sort()).toEqual([
      "Bearer of.standard.input",
      "Bearer of.the.environment",
    ]);
  });

  it("makes a cluster: its join token alone is on standard output, for a file", async () => {
    const { code, out, told } = await run([
      "clusters",
      "create",
      "new",
      "--label",
      "env=prod",
      "--label",
      "tier=",
      ...toRelay(),
    ]);
    expect([code, out]).toEqual([0, "flj_once\n"]);
    expect(told).toMatch(/once, for one agent, until 2030-03-17T17:46:40/);
    expect(seen[0]?.message).toMatchObject({ name: "new", labels: { env: "prod", tier: "" } });
  });

  describe("lets an agent join by its service account", () => {
    const account = [
      "--join-service-account",
      "fairlead/fairlead-agent",
      "--join-issuer",
      "https://issuer.example.com",
    ];
    const due = () => ({
      serviceAccount: "fairlead/fairlead-agent",
      issuer: "https://issuer.example.com",
      audience: `${relay.url.origin}/clusters/new`,
    });

    it("of a new cluster, and prints the audience alone, and no token", async () => {
      const { code, out, told } = await run(["clusters", "create", "new", ...account, ...toRelay()]);
      expect([code, out]).toEqual([0, `${due().audience}\n`]);
      expect(told).toMatch(
        /joins by a token of the service account fairlead\/fairlead-agent, for this audience alone:/,
      );
      expect(seen[0]?.message).toMatchObject({
        name: "new",
        serviceAccountJoin: { ...due(), jwks: "", certificateAuthority: "" },
      });
    });

    it("with keys, an authority and an audience that it is given, and tells programs what of it is for the agent", async () => {
      const files = ["--join-jwks", join(folder, "token"), "--join-issuer-ca", join(folder, "ca.crt")];
      const audience = "https://relay.example.com/clusters/new";
      const more = [...files, "--join-audience", audience, "--output", "json"];
      const { out } = await run(["clusters", "join-service-account", "new", ...account, ...more, ...toRelay()]);
      expect(JSON.parse(out)).toEqual({ cluster: "new", joinServiceAccount: { ...due(), audience } });
      expect(seen[0]).toMatchObject({
        call: "setServiceAccountJoin",
        message: {
          cluster: "new",
          serviceAccountJoin: {
            audience,
            jwks: `${TOKEN}\n`,
            certificateAuthority: expect.stringMatching(/^-----BEGIN/),
          },
        },
      });
    });

    it("no more, when it is told so", async () => {
      const { code, told } = await run(["clusters", "join-service-account", "new", "--none", ...toRelay()]);
      expect([code, told]).toEqual([0, expect.stringMatching(/No agent joins the cluster new by a service account/)]);
      expect(seen[0]?.message).toMatchObject({ cluster: "new" });
      expect(seen[0]?.message).not.toHaveProperty("serviceAccountJoin.issuer");
    });

    it.each<[what: string, args: () => string[], says: RegExp]>([
      ["an account", () => ["--join-issuer", "https://x"], /which service account\?/],
      ["an issuer", () => account.slice(0, 2), /who issues the service account's tokens\?/],
      ["a file that is there", () => [...account, "--join-jwks", join(folder, "none")], /none cannot be read/],
      ["one of the two", () => [], /give --join-service-account and --join-issuer, or --none/],
      [
        "one of the two alone",
        () => [...account, "--none"],
        /give --join-service-account and --join-issuer, or --none/,
      ],
    ])("but not without %s", async (_what, args, says) => {
      const { code, told } = await run(["clusters", "join-service-account", "new", ...args(), ...toRelay()]);
      expect([code, told]).toEqual([1, expect.stringMatching(says)]);
      expect(seen).toEqual([]);
    });
  });

  it("makes and removes a rule as it is told", async () => {
    const rule = [
      "--user",
      "jane",
      "--group",
      "dev",
      "--group",
      "ops",
      "--cluster",
      "*",
      "--cluster-label",
      "env=prod",
    ];
    const outcomes = await runAll([
      ["rules", "create", "developers", ...rule, ...toRelay()],
      ["rules", "delete", "developers", "--output", "json", ...toRelay()],
      ["rules", ...toRelay()],
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(seen.find(({ call }) => call === "createAccessRule")?.message).toMatchObject({
      accessRule: {
        name: "developers",
        users: ["jane"],
        groups: ["dev", "ops"],
        clusters: ["*"],
        clusterLabels: { env: "prod" },
      },
    });
    expect(JSON.parse(outcomes[1]?.out ?? "")).toEqual({ deleted: "developers" });
    expect(outcomes[2]?.told).toMatch(/There is no rule: nobody reaches any cluster/);
  });

  it("makes a rule that is narrow, and says one anew", async () => {
    const narrow = ["--user-prefix", "repo:acme/app:", "--cluster", "prod", "--read-only"];
    const times = ["--not-before", "2026-12-01T08:00:00+01:00", "--expires", "2026-12-02T08:00:00Z"];
    const before = Date.now();
    const outcomes = await runAll([
      ["rules", "create", "ci", ...narrow, ...times, "--output", "json", ...toRelay()],
      ["rules", "update", "ci", "--user", "jane", "--cluster", "prod", "--expires", "8h", ...toRelay()],
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
    expect(JSON.parse(outcomes[0]?.out ?? "")).toMatchObject({
      name: "ci",
      userPrefixes: ["repo:acme/app:"],
      readOnly: true,
      notBefore: "2026-12-01T07:00:00.000Z",
      expires: "2026-12-02T08:00:00.000Z",
    });
    const { accessRule } = Object(seen.find(({ call }) => call === "updateAccessRule")?.message);
    expect(accessRule).toMatchObject({ users: ["jane"], userPrefixes: [], readOnly: false });
    expect(accessRule.notBeforeTime).toBeUndefined();
    expect(timestampMs(accessRule.expireTime) - before - 8 * 3_600_000).toBeGreaterThanOrEqual(0);
    expect(timestampMs(accessRule.expireTime) - before - 8 * 3_600_000).toBeLessThan(60_000);
  });

  it("takes no time that would be another one elsewhere, or none at all", async () => {
    const times = ["2026-12-01", "2026-12-01T08:00:00", "tomorrow", "0h", "-1h", "8", "2026-13-01T08:00:00Z", ""];
    const rule = ["rules", "create", "a", "--user", "jane", "--cluster", "a"];
    const outcomes = await runAll(times.map((time) => [...rule, `--expires=${time}`, ...toRelay()]));
    for (const { code, told } of outcomes) {
      expect(code).toBe(1);
      expect(told).toMatch(/is not a time; write one with its zone/);
    }
    expect(seen).toEqual([]);
  });

  it("explains who may do what where, to people and to programs", async () => {
    const ask = ["access", "explain", "jane"];
    const outcomes = await runAll([
      [...ask, "prod", "--group", "dev", "--group", "ops", ...toRelay()],
      [...ask, "prod", "--output", "json", ...toRelay()],
      [...ask, "other", ...toRelay()],
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(outcomes[0]?.out).toBe(
      "jane may only read in prod, until 2027-01-01T00:00:00.000Z.\n\n" +
        "RULE      COUNTS   WHY\nviewers   yes      it is so\n",
    );
    expect(JSON.parse(outcomes[1]?.out ?? "")).toMatchObject({
      access: "read-only",
      until: "2027-01-01T00:00:00.000Z",
      rules: [{ rule: { name: "viewers", readOnly: true }, applies: true, reason: "it is so" }],
    });
    expect(outcomes[2]?.out).toBe("jane may do nothing in other.\nThere is no rule.\n");
    const asked = seen.map(({ message }) => Object(message).groups);
    expect(asked).toContainEqual(["dev", "ops"]);
  });

  it("prints a kubeconfig that points at the local proxy, without the caller's token", async () => {
    const { code, out } = await run(["kubeconfig", "prod", ...toRelay()]);
    expect(code).toBe(0);
    const kubeconfig = parse(out);
    expect(kubeconfig["current-context"]).toBe("fairlead-prod");
    expect(kubeconfig.clusters[0].cluster.server).toMatch(/^https:\/\/127\.0\.0\.1:2\d{4}$/);
    expect(kubeconfig.contexts[0].context.namespace).toBe("team-a");
    expect(out).not.toContain(TOKEN);
  });

  it("prints a kubeconfig that goes without the local proxy, and has no token in it", async () => {
    const [own, named] = await runAll([
      ["kubeconfig", "prod", "--direct", ...toRelay()],
      ["kubeconfig", "prod", "--direct", "--namespace", "mine", ...toRelay()],
    ]);
    expect(own?.code).toBe(0);
    const { clusters, users, contexts, "current-context": current } = parse(own?.out ?? "");
    expect(current).toBe("fairlead-prod:direct");
    expect(clusters[0].cluster.server).toBe(`${relay.url.origin}/clusters/prod`);
    const ca = await readFile(join(folder, "ca.crt"), "base64");
    expect(clusters[0].cluster["certificate-authority-data"]).toBe(ca);
    expect(contexts[0].context.namespace).toBe("team-a");
    expect(parse(named?.out ?? "").contexts[0].context.namespace).toBe("mine");
    const { exec, ...others } = users[0].user;
    expect(others).toEqual({});
    expect(exec).toMatchObject({ apiVersion: "client.authentication.k8s.io/v1", interactiveMode: "IfAvailable" });
    const at = exec.args.indexOf("get-token");
    expect(exec.args.slice(at + 1)).toEqual([
      ...["--relay", relay.url.origin, "--relay-ca", join(folder, "ca.crt"), "--token-file", join(folder, "token")],
    ]);
    expect(own?.out).not.toContain(TOKEN);
  });

  it("runs what its kubeconfig names, and it gives the token", async () => {
    const { out } = await run(["kubeconfig", "prod", "--direct", ...toRelay()]);
    const { command, args } = parse(out).users[0].user.exec;
    const child = spawn(command, args, {
      env: { PATH: process.env.PATH, HOME: folder },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let answer = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (answer += text));
    await once(child, "close");
    const apiVersion = "client.authentication.k8s.io/v1";
    expect(JSON.parse(answer)).toEqual({ kind: "ExecCredential", apiVersion, status: { token: TOKEN } });
  });

  it.each([
    [
      ["prod", "--direct", "--read-only"],
      /--read-only cannot be kept with --direct: such a context has your own token/,
    ],
    [["prod", "--direct", "--groups", "dev"], /--groups cannot be kept with --direct/],
    [["prod", "--direct", "--groups", ""], /--groups cannot be kept with --direct/],
    [["prod", "--direct", "--port", "8443"], /--port is the local proxy's/],
    [["d", "--direct"], /relay: it gives "http:\/\/evil\/x" for the cluster's address, which is no https URL/],
    [["e", "--direct"], /which is no https URL/],
    [["f", "--direct"], /which is no https URL/],
    [["g", "--direct"], /this relay does not serve clusters without a client proxy/],
    [["a", "--direct"], /it names the context production-admin/],
  ])("is not written with %j, and the sentence says why", async (args, says) => {
    const { code, out, told } = await run(["kubeconfig", ...args, ...toRelay()]);
    expect([code, out]).toEqual([1, ""]);
    expect(told).toMatch(says);
  });

  it("gives a credential in the version that the client asks for, and fails with a sentence on standard error", async () => {
    const asked = (apiVersion: string) => ({ KUBERNETES_EXEC_INFO: JSON.stringify({ apiVersion, spec: {} }) });
    const command = ["get-token", ...toRelay()];
    const [beta, unknown, none] = await Promise.all([
      run(command, asked("client.authentication.k8s.io/v1beta1")),
      run(command, asked("client.authentication.k8s.io/v2")),
      run(["get-token", ...toRelay().slice(0, 4)]),
    ]);
    expect(JSON.parse(beta?.out ?? "").apiVersion).toBe("client.authentication.k8s.io/v1beta1");
    expect(unknown).toMatchObject({ code: 1, out: "" });
    expect(unknown?.told).toMatch(/"client.authentication.k8s.io\/v2", which is not known/);
    expect(none).toMatchObject({ code: 1, out: "" });
    expect(none?.told).toMatch(/there is no token in the environment \(FAIRLEAD_TOKEN\)/);
  });

  it("prints a kubeconfig of a context with a scope, with a name that says so and a credential of its own", async () => {
    const outcomes = await runAll([
      ["kubeconfig", "prod", ...toRelay()],
      ["kubeconfig", "prod", "--read-only", "--groups", "dev,ops", ...toRelay()],
      ["kubeconfig", "prod", "--read-only", "--groups", "dev,,ops", ...toRelay()],
    ]);
    const [full, scoped] = outcomes.slice(0, 2).map(({ out }) => parse(out));
    expect(scoped["current-context"]).toBe("fairlead-prod:read-only:groups=dev,ops");
    expect(scoped.clusters[0].cluster).toEqual(full.clusters[0].cluster);
    expect(scoped.users[0].user.token).toMatch(/^fls1\./);
    expect(outcomes[1]?.out).not.toContain(full.users[0].user.token);
    expect(outcomes[2]).toMatchObject({ code: 1, out: "", told: expect.stringMatching(/a group without a name/) });
  });

  it("writes it to a file, or merges it into the first of KUBECONFIG", async () => {
    const [file, merged] = [join(folder, "own.conf"), join(folder, "merged.conf")];
    await writeFile(merged, "# mine\napiVersion: v1\nkind: Config\n");
    const outcomes = await Promise.all([
      run(["kubeconfig", "prod", "--file", file, "--output", "json", ...toRelay()]),
      run(["kubeconfig", "prod", "--merge", ...toRelay()], { KUBECONFIG: merged }),
    ]);
    expect(JSON.parse(outcomes[0]?.out ?? "")).toEqual({
      ...{ kubeconfig: file, context: "fairlead-prod", contexts: ["fairlead-prod"] },
    });
    expect(outcomes[1]?.told).toMatch(/Run `fairlead proxy prod` to use it/);
    for (const path of [file, merged]) {
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(parse(await readFile(path, "utf8"))["current-context"]).toBe("fairlead-prod");
    }
    expect(await readFile(merged, "utf8")).toMatch(/^# mine/);
  });

  it("refuses a context that the relay names like another, be it one of fairlead's, and writes nothing", async () => {
    const file = join(folder, "untouched.conf");
    const clusters = Object.keys(CONTEXTS);
    const outcomes = await runAll(clusters.map((cluster) => ["kubeconfig", cluster, "--file", file, ...toRelay()]));
    for (const [at, { code, told }] of outcomes.entries()) {
      expect(code).toBe(1);
      expect(told).toContain(`error: fairlead: relay: it names the context ${CONTEXTS[clusters[at] ?? ""]}`);
    }
    expect(await readdir(folder)).not.toContain("untouched.conf");
  });
});

describe("fairlead proxy", () => {
  it("says as JSON where it listens, carries a request there, and ends on SIGTERM", async () => {
    const file = join(folder, "proxy.conf");
    const child = start([
      "proxy",
      "prod",
      "--file",
      file,
      "--private",
      "127.0.0.1:0",
      "--output",
      "json",
      ...toRelay(),
    ]);
    try {
      const [line] = await once(createInterface(child.stdout), "line");
      const ready = JSON.parse(line);
      expect(ready).toMatchObject({ ready: true, pid: child.pid, kubeconfig: file, context: "fairlead-prod" });
      const kubeconfig = parse(await readFile(file, "utf8"));
      const { server, "certificate-authority-data": ca } = kubeconfig.clusters[0].cluster;
      expect(ready.server).toBe(server);
      const headers = { Authorization: `Bearer ${kubeconfig.users[0].user.token}` };
      const sent = request(`${server}/version`, { ca: Buffer.from(ca, "base64"), headers, agent: false });
      sent.end();
      const lane = await relay.lanes.take();
      const { target, headers: passed } = await lane.head();
      expect(target).toBe("/version");
      expect(passed.map(({ value }) => Buffer.from(value).toString())).toContain(`Bearer ${TOKEN}`);
      lane.answer("through the tunnel");
      const [response] = await once(sent, "response");
      expect(String((await once(response, "data"))[0])).toBe("through the tunnel");
      expect(await (await fetch(`${ready.private}/metrics`)).text()).toMatch(/^fairlead_lanes \d+$/m);
    } finally {
      child.kill("SIGTERM");
    }
    const [code] = await once(child, "close");
    expect(code).toBe(0);
  });
});

describe("fairlead forward", () => {
  const forward = (...args: string[]) => start(["forward", "prod", "svc/web.shop", ...args, ...toRelay()]);

  beforeEach(async () => {
    while (relay.lanes.size > 0) await relay.lanes.take(); // those that other programs had opened ahead
  });

  /** Answers what is asked before it listens. */
  async function answerQuestion(status: number): Promise<void> {
    const lane = await relay.lanes.take();
    const head = await lane.head();
    expect(head).toMatchObject({ method: "POST", upgrade: "" });
    expect(head.target).toBe("/apis/tunnel.fairlead.dev/v1alpha1/namespaces/shop/services/web:80/portforward");
    lane.answer("", status);
  }

  it("asks first, says where it listens, and ends on SIGINT with 0 and nothing more to say", async () => {
    const child = forward(":80");
    let told = "";
    child.stderr.on("data", (text) => (told += text));
    const line = once(createInterface(child.stdout), "line");
    await answerQuestion(204);
    expect((await line)[0]).toMatch(/^Forwarding from 127\.0\.0\.1:\d+ -> svc\/web:80$/);
    child.kill("SIGINT");
    expect(await once(child, "close")).toEqual([0, null]);
    expect(told).toBe("");
  });

  it("says so as JSON", async () => {
    const child = forward(":80", "--output", "json");
    const line = once(createInterface(child.stdout), "line");
    await answerQuestion(204);
    const own = { namespace: "shop", name: "web", port: 80, address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) };
    expect(JSON.parse((await line)[0])).toEqual({ ready: true, pid: child.pid, forwards: [own] });
    child.kill("SIGTERM");
    await once(child, "close");
  });

  it("does not listen where it is refused, and says by whom", async () => {
    const child = forward(":80");
    let [out, told] = ["", ""];
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (told += text));
    await answerQuestion(404);
    expect((await once(child, "close"))[0]).toBe(1);
    expect(out).toBe("");
    expect(told).toMatch(/^error: fairlead: identity proxy: the cluster's identity proxy knows no connections/);
  });
});
