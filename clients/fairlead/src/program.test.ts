import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const FLAGS = [
  "--experimental-transform-types",
  "--disable-warning=ExperimentalWarning",
  "--conditions=@fairlead/source",
];
/** Writes the address of each module that is loaded to standard error. */
const TELLTALE = `data:text/javascript,
  import { registerHooks } from "node:module";
  registerHooks({ load: (url, context, next) => { process._rawDebug(url); return next(url, context); } });`;

/** The folders of the packages of which `fairlead ARGS` loads something, and how it answers. */
async function run(args: string[]): Promise<{ out: string; loaded: string[] }> {
  const words = [...FLAGS, `--import=${TELLTALE}`, MAIN, ...args];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, words);
  const folders = [...stderr.matchAll(/^file:.*\/(?:node_modules|clients|packages)\/((?:@[^/]+\/)?[^/]+)\//gm)];
  return { out: stdout, loaded: [...new Set(folders.map(([, folder = ""]) => folder))].sort() };
}

describe("a command that calls nobody", () => {
  it.each([["--version"], ["--help"]])("%s loads neither gRPC nor a client for Kubernetes", async (flag) => {
    const { out, loaded } = await run([flag]);
    expect(out).toMatch(flag === "--help" ? /^ {2}proxy {2}/m : /^\d+\.\d+\.\d+\n$/);
    expect(loaded).toEqual(["commander", "fairlead"]);
  });

  it("loads it when it is called, and for its help", async () => {
    const { out, loaded } = await run(["help", "proxy"]);
    expect(out).toMatch(/^ {2}--dpop-key <file> /m);
    expect(loaded).toContain("@connectrpc/connect-node");
    expect(loaded).not.toContain("@kubernetes/client-node");
  });
});
