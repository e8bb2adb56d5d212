import type { Case } from "../case.ts";
import { bulk } from "./bulk.ts";
import { fixedRate } from "./fixed-rate.ts";
import { getsUnderBulk } from "./gets-under-bulk.ts";
import { kubectlGet } from "./kubectl-get.ts";
import { smallGet } from "./small-get.ts";
import { wan } from "./wan.ts";
import { watches } from "./watches.ts";

/** All cases, in the order in which they run. */
export const cases: readonly Case[] = [smallGet, bulk, getsUnderBulk, fixedRate, kubectlGet, wan, watches];
