import { AskedProcess } from "../asked-process.ts";
import type { Endpoint } from "../load/endpoint.ts";

/** How many agents of one process attach at once when they are started, so that the start is no storm. */
export const STARTING = 32;

/** What the process is asked. */
export type AgentsQuestion =
  /**
   * Answered when all are attached.
   *
   * @param joinTokens one for each agent
   * @param serves what all of them lead to, as whoever that endpoint is for; undefined: they serve nothing
   */
  | {
      readonly do: "start";
      readonly host: string;
      readonly port: number;
      readonly ca: string;
      readonly joinTokens: readonly string[];
      readonly serves?: Endpoint;
    }
  | { readonly do: "await all"; readonly withinMs: number }
  | { readonly do: "forget losses" };

/** How it stands with the agents when a question is answered. */
export interface AgentsAnswer {
  readonly attached: number;
  /** When the last one attached, in milliseconds since 1970, with fractions. */
  readonly lastAtMs: number;
  /** How often an agent was lost or could not attach, by reason. */
  readonly losses: Readonly<Record<string, number>>;
}

/** A process of the bench's own with many light agents. */
export type AgentsHost = AskedProcess<AgentsQuestion, AgentsAnswer>;

export function startAgentsHost(): Promise<AgentsHost> {
  return AskedProcess.start(new URL("agents-process.js", import.meta.url));
}
