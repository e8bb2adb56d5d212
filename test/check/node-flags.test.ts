import { readFile } from "node:fs/promises";
import { NODE_FLAGS } from "@fairlead/service";
import { expect, it } from "@jest/globals";

it.each(["services/relay", "services/agent", "services/identity-proxy", "clients/fairlead"])(
  "%s is started with node's flags by its first line",
  async (workspace) => {
    const main = await readFile(new URL(`../../${workspace}/src/main.ts`, import.meta.url), "utf8");
    expect(main.split("\n")[0]).toBe(`#!/usr/bin/env -S node ${NODE_FLAGS.join(" ")}`);
  },
);
