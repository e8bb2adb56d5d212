import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { ClientRequest } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Tunnel } from "@fairlead/demo";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { KubeConfig } from "@kubernetes/client-node";
import { eventually } from "../support/eventually.ts";
import { rawRequest } from "../support/raw-request.ts";
import { SlowOrigin } from "../support/slow-origin.ts";
import { alice, countsOf, untilCountsAre } from "../support/tunnel.ts";

const MIB = 1024 * 1024;
/** All windows and queues on the way, and what the kernel holds for four sockets; far less than what is announced. */
const MOST_TAKEN_BYTES = 64 * MIB;
const ANNOUNCED_BYTES = 10_000 * MIB;
/** What a tunnel has that has carried something; of lanes and sockets, at most so many. */
const AT_REST = {
  "client proxy sockets": 0,
  "client proxy lanes": 2,
  "relay sessions": 2,
  "relay exchanges": 0,
  "relay admitted_exchanges": 0,
  "relay waiting_exchanges": 0,
  "agent lanes": 2,
  "agent exchanges": 0,
  "identity proxy lanes": 2,
  "identity proxy apiserver_sockets": 2,
};

let folder: string;
let origin: SlowOrigin;
let tunnel: Tunnel;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-backpressure-"));
  origin = await SlowOrigin.start(folder);
  const impersonatorKubeconfig = origin.kubeconfig;
  tunnel = await Tunnel.create({ folder, cluster: "slow", person: alice, impersonatorKubeconfig });
  await tunnel.start();
});

afterAll(async () => {
  await tunnel.stop();
  await origin.stop();
  await rm(folder, { recursive: true });
});

describe("an upload to a cluster that does not read", () => {
  it("stalls alone, after a few megabytes; others pass, it goes on once it is read, and nothing is left of it after", async () => {
    const upload = await GreedyUpload.start();
    const taken = await upload.untilStalled();
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(MOST_TAKEN_BYTES);
    for (const { status } of await Promise.all(Array.from({ length: 20 }, get))) expect(status).toBe(200);
    const other = await rawRequest(tunnel.kubeconfig, "/read", ["Content-Length", "0"], "POST");
    expect(other).toMatchObject({ status: 200, body: '{"bytes":0}' });
    expect(upload.taken).toBe(taken);
    expect(await countsOf(tunnel)).toMatchObject({ "relay exchanges": 1, "agent exchanges": 1 });
    origin.readOn();
    await eventually(() => upload.taken > 2 * MOST_TAKEN_BYTES, { what: "an upload that goes on" });
    upload.breakOff();
    await untilCountsAre(tunnel, AT_REST);
  });
});

function get() {
  return rawRequest(tunnel.kubeconfig, "/small");
}

/** A client that sends as much as is taken from it. */
class GreedyUpload {
  /** Bytes that the operating system has taken so far. */
  taken = 0;
  readonly #request: ClientRequest;
  readonly #chunk = Buffer.alloc(64 * 1024, "x");

  private constructor(outgoing: ClientRequest) {
    this.#request = outgoing;
    outgoing.on("error", () => {}); // it is broken off
    this.#send();
  }

  static async start(): Promise<GreedyUpload> {
    const kubeconfig = new KubeConfig();
    kubeconfig.loadFromString(await readFile(tunnel.kubeconfig, "utf8"));
    const { server = "", caData = "" } = kubeconfig.getCurrentCluster() ?? {};
    const outgoing = request(new URL("/unread", server), {
      method: "POST",
      ca: Buffer.from(caData, "base64"),
      agent: false,
      headers: { Authorization: `Bearer ${kubeconfig.getCurrentUser()?.token}`, "Content-Length": ANNOUNCED_BYTES },
    });
    await once(outgoing, "socket");
    return new GreedyUpload(outgoing);
  }

  /** @returns how many bytes were taken when no more was, for a second */
  untilStalled(): Promise<number> {
    return eventually(
      async () => {
        const before = this.taken;
        await sleep(1_000);
        return before > 0 && this.taken === before && before;
      },
      { what: "an upload that stalls", timeoutMs: 30_000 },
    );
  }

  breakOff(): void {
    this.#request.destroy();
  }

  #send(): void {
    this.#request.write(this.#chunk, (error) => {
      if (error) return;
      this.taken += this.#chunk.length;
      if (this.taken < ANNOUNCED_BYTES) this.#send();
    });
  }
}
