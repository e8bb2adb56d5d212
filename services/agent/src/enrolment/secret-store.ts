import { ApiException, type CoreV1Api, type V1Secret } from "@kubernetes/client-node";
import { type AgentState, StateChanged, type StateStore, type Stored } from "./state-store.ts";

/** Keeps an agent's state in a Secret of its cluster. The Secret has to be there: the agent may read and change it only. */
export class SecretStore implements StateStore {
  readonly #api: CoreV1Api;
  readonly #namespace: string;
  readonly #name: string;

  constructor(api: CoreV1Api, namespace: string, name: string) {
    this.#api = api;
    this.#namespace = namespace;
    this.#name = name;
  }

  async load(): Promise<Stored> {
    return storedOf(await this.#api.readNamespacedSecret({ namespace: this.#namespace, name: this.#name }));
  }

  async save(state: AgentState, version: string): Promise<Stored> {
    const [namespace, name] = [this.#namespace, this.#name];
    const secret = await this.#api.readNamespacedSecret({ namespace, name });
    if (secret.metadata?.resourceVersion !== version) throw new StateChanged();
    try {
      const body = { ...secret, data: dataOf(state) };
      return storedOf(await this.#api.replaceNamespacedSecret({ namespace, name, body }));
    } catch (cause) {
      if (cause instanceof ApiException && cause.code === 409) throw new StateChanged({ cause });
      throw cause;
    }
  }
}

const FIELDS: readonly [field: keyof AgentState, name: string][] = [
  ["certificate", "tls.crt"],
  ["key", "tls.key"],
  ["nextKey", "next.key"],
];

function storedOf({ data = {}, metadata }: V1Secret): Stored {
  const state: AgentState = {};
  for (const [field, name] of FIELDS) {
    const value = data[name];
    if (value) state[field] = Buffer.from(value, "base64").toString();
  }
  return { state, version: metadata?.resourceVersion ?? "" };
}

function dataOf(state: AgentState): Record<string, string> {
  const entries = FIELDS.map(([field, name]) => [name, Buffer.from(state[field] ?? "").toString("base64")]);
  return Object.fromEntries(entries.filter(([, value]) => value !== ""));
}
