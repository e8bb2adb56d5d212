import type { KeptLogin } from "./login-store.ts";
import type { LoginPlace } from "./renewed-token.ts";

/** Keeps a login for this process alone: of a job, nothing is left on the machine. */
export class MemoryPlace implements LoginPlace {
  #login: KeptLogin | undefined;
  #writes = 0;

  get version(): string | undefined {
    return this.#login && String(this.#writes);
  }

  async read(): Promise<KeptLogin | undefined> {
    return this.#login;
  }

  async write(login: KeptLogin): Promise<void> {
    this.#login = login;
    this.#writes++;
  }

  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }
}
