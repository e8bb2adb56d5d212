import type { Case } from "../case.ts";
import { smallGet } from "./small-get.ts";

/** All cases, in the order in which they run. */
export const cases: readonly Case[] = [smallGet];
