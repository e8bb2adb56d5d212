/**
 * Reads one stdin that several commands share: what `read one line` leaves over, the next command still gets.
 * An empty chunk stands for Ctrl-D: one end of input, after which reading goes on.
 */
export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer, unknown>;
  #leftover: Buffer | undefined;
  /** A read that was given up keeps its chunk for the next one. */
  #pending: Promise<IteratorResult<Buffer, unknown>> | undefined;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next bytes; undefined at the end of input or when the signal aborts. */
  async read(signal: AbortSignal): Promise<Buffer | undefined> {
    const leftover = this.#leftover;
    this.#leftover = undefined;
    if (leftover) return leftover;
    if (signal.aborted) return undefined;
    this.#pending ??= this.#chunks.next();
    const result = await unlessAborted(this.#pending, signal);
    if (!result) return undefined;
    this.#pending = undefined;
    return result.done || result.value.length === 0 ? undefined : result.value;
  }

  /** The next line without its newline; the rest of a last line without one; undefined at the end. */
  async readLine(signal: AbortSignal, maxBytes = 64 * 1024): Promise<string | undefined> {
    let line = Buffer.alloc(0);
    for (;;) {
      const chunk = await this.read(signal);
      if (!chunk) return line.length > 0 ? line.toString("utf8") : undefined;
      const newline = chunk.indexOf(0x0a);
      if (newline >= 0) {
        this.#leftover = newline + 1 < chunk.length ? chunk.subarray(newline + 1) : undefined;
        return Buffer.concat([line, chunk.subarray(0, newline)]).toString("utf8");
      }
      // Beyond the limit the line is cut; a shell that executed half a line late would be worse than noise.
      line = Buffer.concat([line, chunk]).subarray(0, maxBytes);
    }
  }
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (stop) signal.removeEventListener("abort", stop);
  }
}
