import type { IncomingHttpHeaders } from "node:http";
import { type Extras, WAY_KEYS } from "@fairlead/authorization";
import { LANE_WAY_METADATA, type RequestHead } from "@fairlead/protocol";

/** What the agent says about the way that a lane's requests come. Nothing is decided by it: it is for the audit log. */
export interface LaneWay {
  /** The relay as the agent dials it. */
  relay: string | undefined;
  /** Names the agent's session; not its secret. */
  session: string | undefined;
}

/** Printable ASCII of bounded length. What is not that is left out: a claim must not keep anybody from working. */
const CLAIM = /^[\x21-\x7e]{1,253}$/;

/** Reads the metadata of a lane's call. */
export function laneWayOf(metadata: IncomingHttpHeaders): LaneWay {
  return { relay: claim(metadata[LANE_WAY_METADATA.relay]), session: claim(metadata[LANE_WAY_METADATA.session]) };
}

/** The extras that name the way of a request. The cluster's name is the relay's, and the client's version its own. */
export function wayExtras({ relay, session }: LaneWay, { cluster, client }: RequestHead): Extras {
  const claims = { relay, session, cluster: claim(cluster), client: claim(client) };
  return Object.fromEntries(
    Object.entries(WAY_KEYS).flatMap(([name, key]) => {
      const value = claims[name as keyof typeof WAY_KEYS];
      return value === undefined ? [] : [[key, [value]]];
    }),
  );
}

function claim(value: unknown): string | undefined {
  return typeof value === "string" && CLAIM.test(value) ? value : undefined;
}
