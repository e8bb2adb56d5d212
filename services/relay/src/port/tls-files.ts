import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Logger } from "@fairlead/service";

/** How often the files are looked at, in milliseconds. */
const LOOK_MS = 10_000;

/** Where certificate and key are, PEM. */
export interface TlsPaths {
  certFile: string;
  keyFile: string;
}

/** Certificate and key, PEM. */
export interface PortTls {
  cert: Buffer;
  key: Buffer;
}

/** The relay's certificate: one that is renewed counts within 10 s, without a restart. */
export class TlsFiles {
  readonly #paths: TlsPaths;
  readonly #log: Logger;
  #last: PortTls;
  #problem = "";
  #timer: NodeJS.Timeout | undefined;

  private constructor(paths: TlsPaths, current: PortTls, log: Logger) {
    this.#paths = paths;
    this.#last = current;
    this.#log = log;
  }

  /** @throws Error if the files cannot be read, or the one is not of the other */
  static async open(paths: TlsPaths, log: Logger): Promise<TlsFiles> {
    return new TlsFiles(paths, await readPair(paths), log);
  }

  /** What was read last. */
  get current(): PortTls {
    return this.#last;
  }

  /** Looks from now on. @param renewed hears of each pair that is another one and can be used */
  watch(renewed: (tls: PortTls) => void): void {
    this.#timer = setInterval(() => void this.look(renewed), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Looks once. A pair that cannot be used is told once, and the one before goes on to count: it may be half written. */
  async look(renewed: (tls: PortTls) => void): Promise<void> {
    try {
      const pair = await readPair(this.#paths);
      this.#problem = "";
      if (pair.cert.equals(this.#last.cert) && pair.key.equals(this.#last.key)) return;
      this.#last = pair;
      renewed(pair);
      this.#log.info({ certFile: this.#paths.certFile }, "the relay's certificate was renewed");
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== this.#problem) this.#log.error({ problem }, "the relay's new certificate cannot be used");
      this.#problem = problem;
    }
  }
}

async function readPair({ certFile, keyFile }: TlsPaths): Promise<PortTls> {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  createSecureContext({ cert, key });
  return { cert, key };
}
