import type { Case } from "../case.ts";
import { bulk } from "./bulk.ts";
import { fixedRate } from "./fixed-rate.ts";
import { getsUnderBulk } from "./gets-under-bulk.ts";
import { kubectlGet } from "./kubectl-get.ts";
import { longLists } from "./long-lists.ts";
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
  slowPeers,
  longLists,
  watches,
  soak,
];
