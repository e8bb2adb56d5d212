#!/usr/bin/env -S node --initial-old-space-size=96 --max-semi-space-size=2
import "reflect-metadata";
import { addProcessOptions, runService, type ServiceCommandOptions } from "@fairlead/service";
import { Command } from "commander";
import { readRelayConfig } from "./config.ts";
import { startRelay } from "./relay.ts";
import { VERSION } from "./version.ts";

const command = new Command("fairlead-relay")
  .description("The meeting point: agents dial out to it, clients reach their clusters through it.")
  .version(VERSION)
  .requiredOption("--config <file>", "the relay's configuration (docs/reference/relay-config.md)")
  .addHelpText("after", "\nExample:\n  fairlead-relay --config relay.yaml --private 127.0.0.1:9090");

const options = addProcessOptions(command).parse().opts<ServiceCommandOptions & { config: string }>();
await runService("relay", { private: options.private, graceMs: options.grace * 1000 }, async (log) =>
  startRelay(await readRelayConfig(options.config), log),
);
