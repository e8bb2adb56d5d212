import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import type { KubectlBinary, StreamingProtocol } from "./kubectl-versions.ts";
import type { Command, Exit } from "./program.ts";
import { RunningProgram, type StartOptions } from "./running-program.ts";

export interface KubectlOptions {
  readonly binary: KubectlBinary;
  readonly kubeconfig: string;
  /** Each run makes its home folder in here, so that no run finds another's caches. */
  readonly dir: string;
  /** Left to kubectl when it is not given. */
  readonly protocol?: StreamingProtocol;
}

export interface RunOptions {
  readonly stdin?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
  /** A home folder to share with other runs, for tests about caches. */
  readonly home?: string;
}

export interface Outcome extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

const runTimeoutMs = 60_000;

/** A real kubectl of one version, pointed at one cluster. */
export class Kubectl {
  readonly binary: KubectlBinary;
  private readonly options: KubectlOptions;

  constructor(options: KubectlOptions) {
    this.binary = options.binary;
    this.options = options;
  }

  get protocol(): StreamingProtocol | undefined {
    return this.options.protocol;
  }

  /** As in "kubectl 1.36 over WebSocket". */
  get name(): string {
    return `kubectl ${this.binary.version}${this.protocol ? ` over ${this.protocol}` : ""}`;
  }

  /** The same kubectl, pointed at another cluster. */
  against(kubeconfig: string): Kubectl {
    return new Kubectl({ ...this.options, kubeconfig });
  }

  /** Runs to the end; stdin is closed after what is given, which may be nothing. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const program = this.start(args, options);
    program.endInput(options.stdin);
    const timer = setTimeout(() => program.signal("SIGKILL"), options.timeoutMs ?? runTimeoutMs);
    try {
      const exit = await program.exited;
      return { ...exit, stdout: program.stdout, stderr: program.stderr };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Runs in the background, with stdin open. */
  start(args: readonly string[], options: RunOptions & StartOptions = {}): RunningProgram {
    return new RunningProgram(this.command(args), { ...options, env: this.environment(options) });
  }

  command(args: readonly string[]): Command {
    return { file: this.binary.path, args };
  }

  /** Nothing of the machine's own settings but PATH: no proxies, no preferences, no caches. */
  environment({ env, home }: Pick<RunOptions, "env" | "home"> = {}): NodeJS.ProcessEnv {
    const ownHome = home ?? mkdtempSync(join(this.options.dir, "home-"));
    return {
      PATH: process.env.PATH,
      HOME: ownHome,
      KUBECACHEDIR: join(ownHome, ".kube", "cache"),
      KUBECONFIG: this.options.kubeconfig,
      ...this.protocolChoice(),
      ...env,
    };
  }

  private protocolChoice(): NodeJS.ProcessEnv {
    if (!this.protocol) {
      return {};
    }
    const choice = String(this.protocol === "WebSocket");
    return {
      KUBECTL_REMOTE_COMMAND_WEBSOCKETS: choice,
      KUBECTL_PORT_FORWARD_WEBSOCKETS: choice,
    };
  }
}
