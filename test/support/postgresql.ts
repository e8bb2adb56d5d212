import { globSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "@jest/globals";
import { Daemon } from "./daemon.ts";
import { eventually } from "./eventually.ts";
import { type Command, runProgram } from "./program.ts";

/** Where Debian puts the programs: the newest version. */
const [programs] = globSync("/usr/lib/postgresql/*/bin").sort().reverse();
/** It does not run as root. */
const asNobody =
  process.getuid?.() === 0 ? ["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL", "--"] : ["--"];

/** `describe`, or a skipped one that says so loudly where PostgreSQL is not installed. */
export function describeWithPostgresql(): typeof describe | typeof describe.skip {
  if (programs !== undefined) return describe;
  process.stderr.write("\n*** no /usr/lib/postgresql: NOTHING of what needs PostgreSQL is run ***\n");
  return describe.skip;
}

/** A real PostgreSQL of this test's own, which listens on a socket in its folder alone, with one user and one database. */
export class Postgresql {
  readonly #folder: string;
  #server: Daemon | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(): Promise<Postgresql> {
    const postgresql = new Postgresql(await mkdtemp(join(tmpdir(), "fairlead-postgresql-")));
    await chmod(postgresql.#folder, 0o777);
    const { data } = postgresql;
    await runProgram(run("initdb", "--pgdata", data, "--username=relay", "--auth=trust", "--no-sync"));
    await postgresql.startServer();
    return postgresql;
  }

  private get data(): string {
    return join(this.#folder, "data");
  }

  /** The URL of the database, as libpq has it. */
  get url(): string {
    return `postgresql://relay@localhost/postgres?host=${this.#folder}`;
  }

  /** Writes a file with the URL. @returns its path */
  async urlFile(): Promise<string> {
    const file = join(this.#folder, "url");
    await writeFile(file, `${this.url}\n`, { mode: 0o600 });
    return file;
  }

  /** Starts the server, again if it was stopped. */
  async startServer(): Promise<void> {
    const settings = ["fsync=off", "listen_addresses=", `unix_socket_directories=${this.#folder}`];
    const options = settings.flatMap((setting) => ["-c", setting]);
    this.#server = new Daemon(run("postgres", "-D", this.data, ...options), this.#folder);
    await eventually(() => this.ask("select 1").catch(() => undefined), { what: "PostgreSQL" });
  }

  /** Ends the server at once, with all connections. */
  async stopServer(): Promise<void> {
    await this.#server?.kill();
  }

  /** @returns what psql prints */
  ask(statement: string): Promise<string> {
    return runProgram(run("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement, this.url));
  }

  async stop(): Promise<void> {
    await this.stopServer();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function run(program: string, ...args: string[]): Command {
  return { file: "/usr/bin/setpriv", args: [...asNobody, join(programs ?? "", program), ...args] };
}
