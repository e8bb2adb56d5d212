import { rawRequest } from "./raw-request.ts";

/** Of the relay's configuration: a user may begin more requests a second than a load makes. */
export const LOAD_LIMITS = { newExchangesPerUserPerSecond: 10_000, newExchangesPerUserBurst: 10_000 };

/** Requests one after another, several at a time, until it is stopped. */
export class Load {
  readonly #answers = new Map<string, number>();
  readonly #workers: Promise<void>[];
  #isOver = false;

  /**
   * Begins at once.
   *
   * @param kubeconfig by which it asks
   * @param path what it asks for
   * @param atOnce how many requests are under way
   */
  constructor(kubeconfig: string, path: string, atOnce: number) {
    const work = async (): Promise<void> => {
      while (!this.#isOver) {
        const answer = await rawRequest(kubeconfig, path).then(
          ({ status, body }) => (status === 200 ? "200" : `${status} ${body}`),
          (cause: Error) => cause.message,
        );
        this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1);
      }
    };
    this.#workers = Array.from({ length: atOnce }, work);
  }

  /** How many requests have been answered so far. */
  get count(): number {
    return [...this.#answers.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Lets the last requests end. @returns how often each answer came: `200`, or what was wrong */
  async stop(): Promise<Record<string, number>> {
    this.#isOver = true;
    await Promise.all(this.#workers);
    return Object.fromEntries(this.#answers);
  }
}
