import { PassThrough } from "node:stream";
import type { RawData, WebSocket } from "ws";

/** First byte of every message, in both protocol versions; `close` exists in v5 only. */
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** Subprotocols in the server's order of preference. */
export const execProtocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const;

/** kubectl's own copy buffer; also what a real server writes at most in one message. */
const maxMessageBytes = 32 * 1024;
/** The socket is paused while this much stdin is unread. */
const stdinBufferBytes = 256 * 1024;

/**
 * The channels of one exec WebSocket.
 * @see https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
 */
export class ExecChannels {
  /** Bytes from the client; ends at its half-close. */
  readonly stdin = new PassThrough({ highWaterMark: stdinBufferBytes });
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    const gone = new AbortController();
    this.signal = gone.signal;
    socket.on("message", (message) => this.#receive(bytesOf(message)));
    socket.on("close", () => {
      gone.abort();
      this.stdin.end();
    });
    // "close" follows every "error".
    socket.on("error", () => {});
    this.stdin.on("drain", () => socket.resume());
  }

  /** Resolves once the bytes left for the client's socket, so a client that does not read holds the command. */
  async stdout(output: string | Buffer): Promise<void> {
    await this.#sendAll(channel.stdout, Buffer.from(output));
  }

  /** Like {@link stdout}. */
  async stderr(output: string | Buffer): Promise<void> {
    await this.#sendAll(channel.stderr, Buffer.from(output));
  }

  /** Tells the client that the command is about to run: kubectl waits for a first message. */
  async announce(first: "stdout" | "stderr" | "error"): Promise<void> {
    await this.#send(channel[first], Buffer.alloc(0));
  }

  /** Sends the exit status as a Status and closes. */
  async finish(exitStatus: number): Promise<void> {
    await this.#send(channel.error, Buffer.from(JSON.stringify(exitStatusOf(exitStatus))));
    this.#socket.close(1000);
  }

  #receive(message: Buffer): void {
    const payload = message.subarray(1);
    switch (message[0]) {
      case channel.stdin:
        // A zero-length message is how some clients probe; as a chunk it would read as Ctrl-D.
        if (payload.length > 0 && !this.stdin.writableEnded && !this.stdin.write(payload)) this.#socket.pause();
        return;
      case channel.close:
        if (payload[0] === channel.stdin) this.stdin.end();
        return;
      case channel.resize:
        return; // Accepted and of no use: nothing here draws by columns.
      default:
        this.#socket.close(1003, "the demo cluster does not know this channel");
    }
  }

  async #sendAll(to: number, bytes: Buffer): Promise<void> {
    for (let start = 0; start < bytes.length; start += maxMessageBytes) {
      await this.#send(to, bytes.subarray(start, start + maxMessageBytes));
    }
  }

  #send(to: number, payload: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const sent = (error?: Error | null) => (error ? reject(error) : resolve());
      this.#socket.send(Buffer.concat([Buffer.of(to), payload]), { binary: true }, sent);
    });
  }
}

function exitStatusOf(exitStatus: number): unknown {
  if (exitStatus === 0) return { metadata: {}, status: "Success" };
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: exit status ${exitStatus}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(exitStatus) }] },
  };
}

function bytesOf(message: RawData): Buffer {
  if (Array.isArray(message)) return Buffer.concat(message);
  return Buffer.isBuffer(message) ? message : Buffer.from(message);
}
