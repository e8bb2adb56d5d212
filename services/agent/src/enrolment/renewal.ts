import type { Logger } from "@fairlead/service";
import type { Enrolment } from "./enrolment.ts";

/** How often it is looked at whether the certificate is due, in milliseconds, and how soon a failure is made good. */
const CHECK_MS = 1_000;
/** Longest wait after failures, in milliseconds. */
const LONGEST_WAIT_MS = 60_000;
/** Replicas of one agent do not all renew at once: the most that one waits, as a part of a certificate's life. */
const JITTER = 0.05;

/** Renews an agent's certificate when it is due. */
export class Renewal {
  readonly #enrolment: Enrolment;
  readonly #log: Logger;
  readonly #jitter = Math.random() * JITTER;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #notBeforeMs = 0;

  constructor(enrolment: Enrolment, log: Logger) {
    this.#enrolment = enrolment;
    this.#log = log;
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#check().finally(() => this.#timer && this.start()), CHECK_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #check(): Promise<void> {
    const { identity } = this.#enrolment;
    const now = Date.now();
    if (identity === undefined || now < this.#notBeforeMs) return;
    const { renewAtMs, expiresAtMs } = identity;
    if (now < renewAtMs + (expiresAtMs - renewAtMs) * this.#jitter) return;
    try {
      await this.#enrolment.renew();
      this.#failures = 0;
    } catch (err) {
      const waitMs = Math.min(LONGEST_WAIT_MS, CHECK_MS * 2 ** this.#failures++);
      this.#notBeforeMs = now + waitMs;
      this.#log.warn({ err, waitMs, until: new Date(expiresAtMs) }, "the certificate cannot be renewed now");
    }
  }
}
