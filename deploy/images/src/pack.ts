import { argv } from "node:process";
import { Argument, Command } from "commander";
import { type Architecture, packLayer, writeImage } from "./image-archive.ts";

const command = new Command("pack")
  .description("Packs a folder as an image of one layer; the test bed's own pods have theirs by it.")
  .argument("<folder>", "what becomes the image's root")
  .argument("<file>", "the archive to write")
  .argument("<name>", "the image's name, with its tag")
  .addArgument(new Argument("<architecture>", "what it runs on").choices(["amd64", "arm64"]))
  .argument("<config>", "Entrypoint, Cmd, User, Env and so on (OCI image specification, config.md)", JSON.parse)
  .addHelpText(
    "after",
    `\nExample:\n  pack root pause.tar docker.io/local/pause:1 amd64 '{"Entrypoint":["/pause"],"User":"65535:65535"}'`,
  )
  .action((folder: string, file: string, name: string, architecture: Architecture, config: Record<string, unknown>) => {
    console.log(`${name} ${writeImage(file, { name, architecture, config }, [packLayer(folder)])}`);
  });
command.parse(argv);
