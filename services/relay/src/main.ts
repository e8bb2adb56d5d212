#!/usr/bin/env node
import "reflect-metadata";
import { runService } from "@fairlead/service";
import { Command, InvalidArgumentError } from "commander";
import { readRelayConfig } from "./config.ts";
import { startRelay } from "./relay.ts";

const command = new Command("fairlead-relay")
  .description("The meeting point: agents dial out to it, clients reach their clusters through it.")
  .version("0.1.0")
  .requiredOption("--config <file>", "the relay's configuration (docs/reference/relay-config.md)")
  .option("--private <address>", "HOST:PORT for /healthz, /readyz and /metrics")
  .option("--grace <seconds>", "how long exchanges may go on after SIGTERM", seconds, 20)
  .addHelpText("after", "\nExample:\n  fairlead-relay --config relay.yaml --private 127.0.0.1:9090");

const options = command.parse().opts<{ config: string; private?: string; grace: number }>();
await runService("relay", { private: options.private, graceMs: options.grace * 1000 }, async (log) =>
  startRelay(await readRelayConfig(options.config), log),
);

function seconds(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError("a whole number of seconds is due");
  return Number(value);
}
