/** Values in the order in which they came, for a test to await. */
export class Mailbox<T> {
  readonly #values: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  get size(): number {
    return this.#values.length;
  }

  put(value: T): void {
    const taker = this.#takers.shift();
    if (taker) taker(value);
    else this.#values.push(value);
  }

  take(): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<T>();
    if (this.#values.length > 0) resolve(this.#values.shift() as T);
    else this.#takers.push(resolve);
    return promise;
  }
}
