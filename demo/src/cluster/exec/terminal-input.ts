const maxLineBytes = 4096;

/** What a line discipline reports. */
export interface TerminalSink {
  /** Shows bytes on the client's screen. */
  echo(text: string): void;
  /** Hands a finished line to the program; an empty buffer is Ctrl-D. */
  deliver(line: Buffer): void;
  /** Ctrl-C. */
  interrupt(): void;
}

/**
 * The line discipline of a terminal in its usual, "cooked" mode. With `-t`, kubectl puts the local terminal in
 * raw mode and sends single key presses; the far side echoes, erases and builds lines.
 */
export class TerminalInput {
  readonly #sink: TerminalSink;
  #line: number[] = [];
  #escape: "no" | "started" | "sequence" = "no";

  constructor(sink: TerminalSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes from the client. */
  feed(chunk: Buffer): void {
    for (const byte of chunk) if (!this.#skipEscape(byte)) this.#key(byte);
  }

  #key(byte: number): void {
    switch (byte) {
      case 0x03:
        this.#sink.echo("^C\n");
        this.#line = [];
        this.#sink.interrupt();
        break;
      case 0x04:
        this.#finishLine(false);
        break;
      case 0x0a:
      case 0x0d:
        this.#sink.echo("\n");
        this.#finishLine(true);
        break;
      case 0x08:
      case 0x7f:
        this.#erase();
        break;
      default:
        this.#character(byte);
    }
  }

  #character(byte: number): void {
    if (byte < 0x20 || this.#line.length >= maxLineBytes) return;
    this.#line.push(byte);
    // A multi-byte character is echoed whole, once its last byte is here.
    this.#sink.echo(byte < 0x80 ? String.fromCharCode(byte) : this.#lastCharacter());
  }

  /** Arrow keys and the like arrive as ESC [ … letter; this terminal has no history to move in. */
  #skipEscape(byte: number): boolean {
    if (this.#escape === "no") {
      if (byte === 0x1b) this.#escape = "started";
      return byte === 0x1b;
    }
    const introduces = this.#escape === "started" && (byte === 0x5b || byte === 0x4f);
    const ends = byte >= 0x40 && byte <= 0x7e && !introduces;
    this.#escape = ends ? "no" : "sequence";
    return true;
  }

  #erase(): void {
    if (this.#line.length === 0) return;
    while (((this.#line.at(-1) ?? 0) & 0xc0) === 0x80) this.#line.pop();
    this.#line.pop();
    this.#sink.echo("\b \b");
  }

  #lastCharacter(): string {
    let start = this.#line.length - 1;
    while (start > 0 && ((this.#line[start] ?? 0) & 0xc0) === 0x80) start -= 1;
    const decoded = Buffer.from(this.#line.slice(start)).toString("utf8");
    return decoded.includes("\ufffd") ? "" : decoded;
  }

  #finishLine(withNewline: boolean): void {
    this.#sink.deliver(Buffer.from(withNewline ? [...this.#line, 0x0a] : this.#line));
    this.#line = [];
  }
}
