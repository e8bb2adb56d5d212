import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NODE_FLAGS } from "@fairlead/service";
import { expect, it } from "@jest/globals";
import { runProgram } from "../support/program.ts";

const require = createRequire(import.meta.url);
const images = require.resolve("@fairlead/images/main");
const dockerfile = () => readFile(join(images, "../../Dockerfile"), "utf8");

it("the Dockerfile starts services as all else does, by the node that the images have", async () => {
  const text = await dockerfile();
  expect(text).toContain(NODE_FLAGS.map((flag) => JSON.stringify(flag)).join(", "));
  const { version } = JSON.parse(await readFile(require.resolve("node/package.json"), "utf8"));
  expect(text).toContain(`FROM --platform=$BUILDPLATFORM node:${version}-bookworm AS build`);
});

it("what the Dockerfile copies is all that a service needs beside node", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-unpacked-"));
  const services = ["relay", "agent", "identity-proxy"];
  await runProgram({ file: process.execPath, args: [images, "--unpacked", folder] });
  for (const service of services) {
    const main = join(folder, service, "app/main.js");
    const help = await runProgram({ file: process.execPath, args: [...NODE_FLAGS, main, "--help"] });
    expect(help).toMatch(new RegExp(`^Usage: fairlead-${service} `));
  }
  await rm(folder, { recursive: true });
}, 120_000);
