import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const FRAMES = "proto/fairlead/tunnel/v1alpha1/exchange.proto";
const LIMITS = "packages/protocol/src/limits.ts";

/** A fault in a copy of the repository, and the script of `npm run check` that has to see it. */
interface Plant {
  fault: string;
  script: string;
  file: string;
  change(text: string): string;
  /** What the script says about it. */
  says: RegExp;
}

const append = (line: string) => (text: string) => `${text}\n${line}\n`;

const plants: Plant[] = [
  {
    fault: "a message without a comment",
    script: "check:contract",
    file: FRAMES,
    change: append("message Bare {}"),
    says: /Message "Bare" should have a non-empty comment/,
  },
  {
    fault: "a field that changes its type",
    script: "check:breaking",
    file: FRAMES,
    change: (text) => text.replace("string target = 4;", "bytes target = 4;"),
    says: /Field "4" with name "target".*changed type/,
  },
  {
    fault: "a contract whose code was not generated again",
    script: "check:drift",
    file: FRAMES,
    change: (text) => text.replace("string target = 4;", "string target_path = 4;"),
    says: /targetPath/,
  },
  {
    fault: "a type that does not fit",
    script: "check:types",
    file: LIMITS,
    change: append('export const PLANTED: number = "text";'),
    says: /Type 'string' is not assignable to type 'number'/,
  },
  {
    fault: "a default export",
    script: "check:lint",
    file: LIMITS,
    change: append("export default MAX_HEAD_BYTES;"),
    says: /noDefaultExport/,
  },
  {
    fault: "a service that imports another",
    script: "check:lint",
    file: "services/relay/src/config.ts",
    change: (text) => `import "@fairlead/agent/main";\n${text}`,
    says: /No service or client imports another/,
  },
  {
    fault: "a package that imports a service",
    script: "check:lint",
    file: "packages/http-bridge/src/headers.ts",
    change: (text) => `import "@fairlead/identity-proxy/main";\n${text}`,
    says: /Packages know nothing of services and clients/,
  },
  {
    fault: "the lowest package importing a higher one",
    script: "check:lint",
    file: LIMITS,
    change: (text) => `import "@fairlead/http-bridge";\n${text}`,
    says: /packages\/protocol is the lowest layer/,
  },
  {
    fault: "a dependency that is not declared",
    script: "check:lint",
    file: LIMITS,
    change: (text) => `import "jose";\n${text}`,
    says: /noUndeclaredDependencies/,
  },
  {
    fault: "an export that nobody uses",
    script: "check:unused",
    file: "services/agent/src/backoff.ts",
    change: append("export const UNUSED_PLANT = 1;"),
    says: /UNUSED_PLANT/,
  },
];

let copy: string;

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), "fairlead-check-"));
  const { stdout } = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root });
  for (const file of stdout.trim().split("\n")) await cp(join(root, file), join(copy, file)).catch(() => {}); // deleted
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
  await run("git", ["init", "--quiet"], { cwd: copy }); // biome asks git what is ignored
});
afterAll(() => rm(copy, { recursive: true, force: true }));

describe("npm run check", () => {
  it("passes on what is here", async () => {
    expect(await check("check")).toMatchObject({ code: 0 });
  });

  it.each(plants)("$script fails on $fault", async ({ script, file, change, says }) => {
    const path = join(copy, file);
    const before = await readFile(path, "utf8");
    const planted = change(before);
    expect(planted).not.toBe(before);
    await writeFile(path, planted);
    try {
      const { code, output } = await check(script);
      expect(output).toMatch(says);
      expect(code).not.toBe(0);
    } finally {
      await writeFile(path, before);
    }
  });
});

async function check(script: string): Promise<{ code: number; output: string }> {
  try {
    const { stdout, stderr } = await run("npm", ["run", "-s", script], { cwd: copy, maxBuffer: 64 * 1024 * 1024 });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = Object(error);
    return { code: Number(code), output: `${stdout}${stderr}` };
  }
}
