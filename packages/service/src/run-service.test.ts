import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "@jest/globals";
import { refuseUnverifiedTls } from "./run-service.ts";

/** Halves the time that a process takes to start from its source. */
const COMPILE_CACHE = fileURLToPath(new URL("../../../.cache/compiled", import.meta.url));
const FIXTURE = fileURLToPath(new URL("run-service-fixture.ts", import.meta.url));
const FLAGS = [
  "--experimental-transform-types",
  "--disable-warning=ExperimentalWarning",
  "--conditions=@fairlead/source",
];
const running = new Set<ChildProcess>();

afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process that runs a service from its source. */
function start(what: string, ...more: string[]) {
  return startWith({}, what, ...more);
}

function startWith(environment: Record<string, string>, ...args: string[]) {
  const { FAIRLEAD_EXIT_WITH_STDIN: _keepers, ...inherited } = process.env;
  const child = spawn(process.execPath, [...FLAGS, FIXTURE, ...args], {
    env: { ...inherited, NODE_COMPILE_CACHE: COMPILE_CACHE, ...environment },
  });
  running.add(child);
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const ended = once(child, "close").then(([code]) => {
    running.delete(child);
    return { code, log };
  });
  const firstLine = once(createInterface(child.stdout), "line").then(([line]) => JSON.parse(line));
  return { child, ended, ready: Promise.race([firstLine, ended.then(({ log }) => Promise.reject(new Error(log)))]) };
}

describe("a service's process", () => {
  it("says on standard output that it is ready, with its addresses, and stops in good order on SIGTERM", async () => {
    const { child, ready, ended } = start("serves", "127.0.0.1:0");
    const line = await ready;
    expect(line).toEqual({ ready: true, pid: child.pid, private: expect.any(String), url: "https://127.0.0.1:1" });
    expect(await (await fetch(`${line.private}/readyz`)).text()).toBe("ok\n");
    child.kill("SIGTERM");
    const { code, log } = await ended;
    expect(code).toBe(0);
    expect(log).toMatch(/"stoppedWithin":1500/);
  });

  it("needs no private port, and stops on SIGINT too", async () => {
    const { child, ready, ended } = start("serves");
    expect(await ready).toEqual({ ready: true, pid: child.pid, url: "https://127.0.0.1:1" });
    child.kill("SIGINT");
    expect((await ended).code).toBe(0);
  });

  it("ends at once when it is told twice to stop", async () => {
    const { child, ready, ended } = start("never-stops");
    await ready;
    child.kill("SIGTERM");
    await once(child.stderr ?? child, "data"); // it says that it stops
    child.kill("SIGTERM");
    expect((await ended).code).toBe(1);
  });

  it("logs what hinders a good end, and ends", async () => {
    const { child, ready, ended } = start("fails-to-stop");
    await ready;
    child.kill("SIGTERM");
    const { code, log } = await ended;
    expect(code).toBe(0);
    expect(log).toMatch(/did not stop in good order/);
  });

  it("does not outlive the parent that keeps it, however that ended", async () => {
    const { child, ready, ended } = startWith({ FAIRLEAD_EXIT_WITH_STDIN: "1" }, "serves");
    await ready;
    child.stdin?.end();
    const { code, log } = await ended;
    expect(code).toBe(0);
    expect(log).toMatch(/"stoppedWithin":1500/);
  });

  it("goes on without standard input when nobody keeps it", async () => {
    const { child, ready, ended } = start("serves", "127.0.0.1:0");
    const line = await ready;
    child.stdin?.end();
    expect(await (await fetch(`${line.private}/healthz`)).text()).toBe("ok\n");
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
  });

  it("exits 1 with one sentence when it cannot start", async () => {
    const { ready, ended } = start("cannot-start");
    await expect(ready).rejects.toThrow(/fixture cannot start: Error: the port is taken/);
    expect((await ended).code).toBe(1);
  });

  it("exits 1 when its private port is no address", async () => {
    const { ready, ended } = start("serves", "nonsense");
    await expect(ready).rejects.toThrow(/fixture cannot start: .*nonsense: an address is HOST:PORT/);
    expect((await ended).code).toBe(1);
  });

  it("exits 1 on a rejection that nobody handles", async () => {
    const { ended } = start("rejects");
    const { code, log } = await ended;
    expect(code).toBe(1);
    expect(log).toMatch(/nobody caught this/);
  });

  it("does not start with NODE_TLS_REJECT_UNAUTHORIZED=0 in its environment", async () => {
    const { ready, ended } = startWith({ NODE_TLS_REJECT_UNAUTHORIZED: "0" }, "serves");
    await expect(ready).rejects.toThrow(/NODE_TLS_REJECT_UNAUTHORIZED=0 turns off all verification/);
    expect((await ended).code).toBe(1);
  });
});

describe("NODE_TLS_REJECT_UNAUTHORIZED", () => {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  afterEach(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  });

  it("is refused when it is 0", () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    expect(refuseUnverifiedTls).toThrow(/unset it/);
  });

  it.each([["1"], [""]])("may be %j: node verifies then", (value) => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = value;
    expect(refuseUnverifiedTls).not.toThrow();
  });
});
