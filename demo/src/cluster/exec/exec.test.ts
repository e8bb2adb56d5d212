import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { WebSocket } from "ws";
import { type ClusterFixture, startFixture } from "../cluster-fixture.ts";
import { listAt, textAt } from "../kubernetes-object.ts";

let cluster: ClusterFixture;
let podPath: string;

beforeAll(async () => {
  cluster = await startFixture();
  const pods = "/api/v1/namespaces/default/pods";
  const { answer } = await cluster.ask(pods);
  podPath = `${pods}/${textAt(listAt(answer, "items")[0], "metadata", "name")}`;
});
afterAll(() => cluster.close());

function execPath(argv: string[], more = ""): string {
  const command = argv.map((word) => `command=${encodeURIComponent(word)}`).join("&");
  return `${podPath}/exec?${command}&stdout=true&stderr=true${more}`;
}

interface ExecOutcome {
  stdout: string;
  stderr: string;
  status: unknown;
  extensions: string;
}

function connect(path: string, protocol = "v5.channel.k8s.io"): WebSocket {
  const headers = { authorization: "Bearer alice-token" };
  return new WebSocket(cluster.url.replace("https", "wss") + path, protocol, { ca: cluster.cert, headers });
}

/**
 * Collects what a command prints until it ends.
 * @param onStdout sees all of stdout so far, at every message
 */
function outcomeOf(socket: WebSocket, onStdout: (stdout: string) => void = () => {}): Promise<ExecOutcome> {
  return new Promise((resolve, reject) => {
    const outputs = ["", "", "", ""];
    socket.on("message", (message: Buffer) => {
      outputs[message[0] ?? 0] += message.subarray(1).toString("utf8");
      onStdout(outputs[1] ?? "");
    });
    socket.on("error", reject);
    socket.on("close", () => {
      const [, stdout = "", stderr = "", status] = outputs;
      resolve({ stdout, stderr, status: JSON.parse(status || "null"), extensions: socket.extensions });
    });
  });
}

/** Runs a command; `input` are whole messages, channel byte included. */
function exec(path: string, input: Buffer[] = [], protocol?: string): Promise<ExecOutcome> {
  const socket = connect(path, protocol);
  socket.on("open", () => {
    for (const message of input) socket.send(message);
  });
  return outcomeOf(socket);
}

describe("exec", () => {
  it("copies stdin to stdout until the v5 half-close", async () => {
    const input = [Buffer.from("\0one "), Buffer.from("\0two"), Buffer.of(255, 0)];
    const outcome = await exec(execPath(["cat"], "&stdin=true"), input);
    expect(outcome).toMatchObject({ stdout: "one two", status: { status: "Success" } });
  });

  it("keeps stdout, stderr and the exit code apart", async () => {
    const outcome = await exec(execPath(["sh", "-c", "echo out; echo err >&2; exit 7"]));
    const causes = [{ reason: "ExitCode", message: "7" }];
    expect(outcome).toMatchObject({
      stdout: "out\n",
      stderr: "err\n",
      status: { status: "Failure", reason: "NonZeroExitCode", details: { causes } },
    });
  });

  it("speaks v4 and negotiates no compression", async () => {
    const outcome = await exec(execPath(["echo", "hello"]), [], "v4.channel.k8s.io");
    expect(outcome).toMatchObject({ stdout: "hello\n", extensions: "" });
  });

  it("reports an unknown command with exit code 127", async () => {
    const { stderr, status } = await exec(execPath(["nonsense"]));
    expect(stderr).toContain("nonsense: not found");
    expect(status).toMatchObject({ details: { causes: [{ reason: "ExitCode", message: "127" }] } });
  });

  it("delivers much output whole", async () => {
    const { stdout } = await exec(execPath(["seq", "200000"]));
    expect(stdout.length).toBe(1_288_895);
  });

  it("shows a prompt on a terminal, accepts a resize, and ends a command at Ctrl-C", async () => {
    const socket = connect(execPath(["sh"], "&stdin=true&tty=true"));
    const conversation: [wait: string, key: string][] = [
      ["(demo):/ $ ", '\x04{"Width":80,"Height":24}'],
      ["(demo):/ $ ", "\0sleep 60\r"],
      ["sleep 60\r\n", "\0\x03"],
      ["^C\r\n", "\0exit 3\r"],
    ];
    const { stdout, status } = await outcomeOf(socket, (shown) => {
      while (conversation[0] && shown.includes(conversation[0][0]))
        socket.send(Buffer.from(conversation.shift()?.[1] ?? ""));
    });
    expect(stdout).toContain("(demo):/ $ sleep 60\r\n^C\r\n");
    expect(status).toMatchObject({ details: { causes: [{ reason: "ExitCode", message: "3" }] } });
  });

  it("answers SPDY with a short Status that names the kubectl to use", async () => {
    const headers = { connection: "Upgrade", upgrade: "SPDY/3.1" };
    const { code, answer } = await cluster.ask(execPath(["date"]), { method: "POST", headers });
    expect({ code, reason: answer.reason }).toEqual({ code: 400, reason: "BadRequest" });
    expect(textAt(answer, "message")).toContain("KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true");
    expect(textAt(answer, "message").length).toBeLessThan(900);
  });

  it("refuses a pod that is not there before it upgrades anything", async () => {
    const headers = { connection: "Upgrade", upgrade: "SPDY/3.1" };
    const path = "/api/v1/namespaces/default/pods/nope/exec?command=date";
    expect(await cluster.ask(path, { method: "POST", headers })).toMatchObject({ code: 404 });
  });
});
