import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { KubernetesObject } from "../kubernetes-object.ts";
import { chosenContainer } from "../pod-log.ts";
import { isTrue } from "../request-target.ts";
import { StatusError } from "../status.ts";
import { ByteReader } from "./byte-reader.ts";
import { ExecChannels, execProtocols } from "./exec-channels.ts";
import { runCommand } from "./shell.ts";
import type { ShellSession } from "./shell-session.ts";
import { runOnTerminal } from "./terminal-session.ts";

// One sentence, and short: kubectl shows at most the first kilobyte of a refused upgrade.
const needsWebSocket =
  "exec in the demo cluster needs WebSocket, so please use kubectl 1.31 or newer, " +
  "or set KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true with kubectl 1.29 or 1.30, or try a real cluster";

const upgrades = new WebSocketServer({
  noServer: true,
  // A real API server never compresses these streams, and clients must not see the demo differ.
  perMessageDeflate: false,
  maxPayload: 1024 * 1024,
  handleProtocols: (offered) => execProtocols.find((protocol) => offered.has(protocol)) ?? false,
});

/** An exec request that has passed every check. */
export interface ExecRequest {
  pod: KubernetesObject;
  container: string;
  argv: string[];
  stdin: boolean;
  stderr: boolean;
  stdout: boolean;
  terminal: boolean;
}

/**
 * Checks an exec request before its connection is upgraded.
 * @throws StatusError BadRequest: no command, no such container, SPDY, or no known subprotocol
 */
export function parseExec(request: IncomingMessage, query: URLSearchParams, pod: KubernetesObject): ExecRequest {
  const container = chosenContainer(pod, query.get("container"));
  const argv = query.getAll("command");
  if (argv.length === 0) throw new StatusError("BadRequest", "you must specify at least 1 command for the container");
  if ((request.headers.upgrade ?? "").toLowerCase() !== "websocket")
    throw new StatusError("BadRequest", needsWebSocket);
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((each) => each.trim());
  if (!execProtocols.some((protocol) => offered.includes(protocol))) {
    throw new StatusError("BadRequest", `exec in the demo cluster speaks ${execProtocols.join(" and ")} only`);
  }
  const asked = (stream: string) => isTrue(query.get(stream));
  const streams = { stdin: asked("stdin"), stdout: asked("stdout"), stderr: asked("stderr") && !asked("tty") };
  return { pod, container, argv, ...streams, terminal: asked("tty") };
}

/** Upgrades the connection and runs the simulated command on it; ends with the command or with the client. */
export function answerExec(request: IncomingMessage, socket: Duplex, head: Buffer, exec: ExecRequest): void {
  upgrades.handleUpgrade(request, socket, head, (webSocket) => void serveExec(webSocket, exec));
}

async function serveExec(webSocket: WebSocket, exec: ExecRequest): Promise<void> {
  const channels = new ExecChannels(webSocket);
  try {
    await channels.announce(exec.stdout ? "stdout" : exec.stderr ? "stderr" : "error");
    if (!exec.stdin) channels.stdin.end();
    const session = sessionOf(channels, exec);
    const run = exec.terminal ? runOnTerminal(session, channels.stdin, exec.argv) : runCommand(session, exec.argv);
    await channels.finish(await run);
  } catch (error) {
    // A write fails when the client is gone, and then nobody is left to be told. Anything else is a bug.
    if (webSocket.readyState === webSocket.OPEN) console.error("demo cluster:", error);
    webSocket.terminate();
  }
}

function sessionOf(channels: ExecChannels, exec: ExecRequest): ShellSession {
  const hostname = exec.pod.metadata.name;
  const { signal } = channels;
  const discard = async () => {};
  return {
    hostname,
    terminal: exec.terminal,
    variables: new Map([
      ["HOSTNAME", hostname],
      ["HOME", "/"],
      ["PATH", "/bin"],
      ["FAIRLEAD_DEMO", exec.container],
    ]),
    files: new Map([
      ["welcome.txt", `This shell is simulated by the Fairlead demo cluster; nothing runs in ${hostname}.\n`],
    ]),
    stdin: new ByteReader(channels.stdin),
    stdout: exec.stdout ? (output) => channels.stdout(output) : discard,
    stderr: exec.stderr ? (output) => channels.stderr(output) : discard,
    signal,
    inFront: (run) => run(signal),
  };
}
