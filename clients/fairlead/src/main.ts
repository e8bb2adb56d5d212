#!/usr/bin/env -S node --initial-old-space-size=96 --max-semi-space-size=2
import { run } from "./program.ts";

void run(process.argv.slice(2)); // not awaited: a single-file executable has no await at its top level
