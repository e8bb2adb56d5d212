import { closeSync, openSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Command, exitOf, spawnBound } from "@fairlead/test/support/program";
import type { Endpoint } from "../load/endpoint.ts";
import type { Origin } from "../origin/origin.ts";
import { untilAnswers } from "./answers.ts";
import type { Path } from "./path.ts";

/** A tunnel that carries TCP: TLS is spoken through it, with the origin itself, as the person. */
export interface TcpPeer {
  readonly name: string;
  /** Its front: the port of loopback that leads to the origin, or the proxy that is asked for connections to it. */
  readonly front: Pick<Endpoint, "port"> | Required<Pick<Endpoint, "connectThrough">>;
  /** Its programs by name, in the order in which they are started. */
  readonly programs: Readonly<Record<string, Command>>;
  /** A folder of its own, for logs. */
  readonly folder: string;
}

/** Starts a peer's programs and waits until the origin answers through them. @throws Error with the end of their logs */
export async function startTcpPeer(origin: Origin, peer: TcpPeer): Promise<Path> {
  const { name, front, programs, folder } = peer;
  const running = Object.entries(programs).map(([program, command]) => start(program, command, folder));
  const endpoint = { ...origin.endpoint, ...front };
  const stop = async (): Promise<void> => {
    for (const { child } of running) child.kill("SIGKILL"); // nothing here is worth keeping
    await Promise.all(running.map(({ exited }) => exited));
  };
  try {
    await untilAnswers(name, endpoint, origin.smallGet);
    return {
      name,
      endpoint,
      kubeconfig: "port" in front ? await kubeconfigAt(front.port, origin, folder) : undefined,
      processes: Object.fromEntries(running.map(({ program, child }) => [program, child.pid ?? 0])),
      stop,
    };
  } catch (cause) {
    await stop();
    throw new Error(`${name}: ${running.map(({ log }) => readFileSync(log, "utf8").slice(-500)).join("\n")}`, {
      cause,
    });
  }
}

function start(program: string, command: Command, folder: string) {
  const log = join(folder, `${program.replaceAll(" ", "-")}.log`);
  const output = openSync(log, "a", 0o600);
  const child = spawnBound(command, { cwd: folder, stdio: ["ignore", output, output] });
  closeSync(output);
  return { program, child, log, exited: exitOf(child).catch(() => undefined) };
}

/**
 * Writes the person's own kubeconfig with another port. The certificate is for the address, whatever the port.
 *
 * @returns the file, `name` in the folder
 */
export async function kubeconfigAt(
  port: number,
  { kubeconfig, endpoint }: Origin,
  folder: string,
  name = "kubeconfig",
): Promise<string> {
  const file = join(folder, name);
  const text = await readFile(kubeconfig, "utf8");
  const moved = text.replace(`https://${endpoint.host}:${endpoint.port}`, `https://${endpoint.host}:${port}`);
  await writeFile(file, moved, { mode: 0o600 });
  return file;
}
