import type { Case } from "../case.ts";
import { agents } from "./agents.ts";
import { bulk } from "./bulk.ts";
import { execEcho } from "./exec-echo.ts";
import { fixedRate } from "./fixed-rate.ts";
import { fleet } from "./fleet.ts";
import { getsUnderBulk } from "./gets-under-bulk.ts";
import { kubectlGet } from "./kubectl-get.ts";
import { longLists } from "./long-lists.ts";
import { manyExecs } from "./many-execs.ts";
import { manyGroups } from "./many-groups.ts";
import { shortConnections } from "./short-connections.ts";
import { slowPeers } from "./slow-peers.ts";
import { smallGet } from "./small-get.ts";
import { soak } from "./soak.ts";
import { wan } from "./wan.ts";
import { watches } from "./watches.ts";

/** All cases, in the order in which they run. */
export const cases: readonly Case[] = [
  smallGet,
  bulk,
  getsUnderBulk,
  wan,
  fixedRate,
  kubectlGet,
  execEcho,
  shortConnections,
  manyExecs,
  manyGroups,
  slowPeers,
  longLists,
  watches,
  agents,
  fleet,
  soak,
];
