/** What an agent keeps: who it is, and the key that it is about to become. PEM. */
export interface AgentState {
  certificate?: string;
  key?: string;
  /** Kept before it is asked for, so that an answer that was lost can be asked for again. */
  nextKey?: string;
}

/** A state as it was read, and what tells whether it was changed since. */
export interface Stored {
  readonly state: AgentState;
  readonly version: string;
}

/** Where an agent keeps its state. Replicas of one agent share it. */
export interface StateStore {
  load(): Promise<Stored>;
  /**
   * Replaces the state.
   *
   * @param version of the state that it was made from
   * @throws StateChanged if another replica was first; nothing is changed then
   */
  save(state: AgentState, version: string): Promise<Stored>;
}

/** Another replica has changed the state meanwhile. */
export class StateChanged extends Error {
  constructor(options?: ErrorOptions) {
    super("another replica of the agent has changed its state meanwhile", options);
  }
}
