import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { Unserved } from "../proxy-set.ts";
import { runningProxy } from "./control-client.ts";
import { ControlServer } from "./control-server.ts";

const SAID = { relay: "https://relay.example.com", identity: "the login of work", logFile: "" };
let folder: string;
let socket: string;
let server: ControlServer;
let add: () => Promise<Unserved[]>;
let stops: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  socket = join(folder, "proxy.sock");
  add = () => Promise.resolve([]);
  stops = 0;
  server = new ControlServer(socket, { ...SAID, clusters: () => [], add: () => add(), stop: () => stops++ });
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

/** A client of what is behind the socket. */
async function client() {
  const found = await runningProxy(socket);
  if (found === undefined) throw new Error("nothing runs there");
  return found;
}

/** What a call fails with, as a command tells it: connect wraps what comes through it. */
const fault = (call: Promise<unknown>) => call.catch((error) => FairleadError.from(error, Hop.UNSPECIFIED));

describe("a client proxy's control socket", () => {
  it("says who runs, and ends it", async () => {
    await server.listen();
    expect(await (await client()).getClientProxy({})).toMatchObject({ ...SAID, pid: process.pid });
    await (await client()).stopClientProxy({});
    expect(stops).toBe(1);
  });

  it("tells what fails there as the error it is, not as a fault inside", async () => {
    await server.listen();
    add = () => Promise.reject(new FairleadError(ErrorCode.ALREADY_EXISTS, Hop.CLIENT_PROXY, "the lock is taken"));
    expect(await fault((await client()).addClusters({}))).toMatchObject({
      ...{ name: "FairleadError", code: ErrorCode.ALREADY_EXISTS, message: "the lock is taken" },
    });
    add = () => Promise.reject(new Error("no space left"));
    expect(await fault((await client()).addClusters({}))).toMatchObject({
      ...{ code: ErrorCode.INTERNAL, hop: Hop.CLIENT_PROXY, message: expect.stringContaining("no space left") },
    });
  });

  it("takes the place of one that was killed, and is nobody's when it is closed", async () => {
    expect(await runningProxy(socket)).toBeUndefined();
    await server.listen();
    server.close();
    expect(await runningProxy(socket)).toBeUndefined();
  });
});

describe("what does not answer behind it", () => {
  let mute: Server;
  afterEach(() => new Promise((resolve) => mute.close(resolve)));

  it("is told with what to do", async () => {
    mute = createServer((connection) => connection.destroy()).listen(socket);
    expect(await fault((await client()).getClientProxy({}))).toMatchObject({
      code: ErrorCode.UNREACHABLE,
      message: expect.stringMatching(/your proxy that runs does not answer .*`fairlead proxy --stop`/),
    });
  });
});
