import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AccessService, methodPath } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { KubeConfig } from "@kubernetes/client-node";
import { eventually } from "../support/eventually.ts";
import { FloodingPeer, type FloodOutcome, type ListenerAddress } from "../support/flooding-peer.ts";
import { freePorts } from "../support/free-port.ts";
import * as frames from "../support/http2-frames.ts";
import { type MutualTls, mutualTls } from "../support/mutual-tls.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { type Slowness, SlowPeers } from "../support/slow-peers.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
const LANE = methodPath(AccessService.method.exchange);
/** How long a flood goes on that nobody ends. */
const FLOOD_MS = 20_000;
/** How long the request of another client may take meanwhile: kubectl is to hear within 5 s. */
const OTHERS_WAIT_MS = 5_000;
/** What the process may take in all, in MiB, however it is flooded; at rest it has 120 to 140. */
const MOST_MEMORY_MIB = 512;
/** Within what time a slow peer is gone: the limits are 10 s, and are looked at every 2 s. */
const SLOW_ENDS_MS = 14_000;
const SLOW_PEERS = 50;

type Flooded = "relay" | "identity proxy";
let own: TunnelToTestbed;
let tls: MutualTls;
const addresses = {} as Record<Flooded | "client proxy", ListenerAddress>;
const slow = new Map<string, SlowPeers>();

beforeAll(async () => {
  const folder = await mkdtemp(join(cluster.testbed.dir, "floods-"));
  const [port = 0] = await freePorts(1);
  tls = await mutualTls(folder, port);
  own = await startTunnel(cluster.testbed, { folder, args: tls.args });
  const ca = await readFile(own.tunnel.file("ca.crt"));
  addresses.relay = { port: Number(new URL(own.tunnel.relayUrl).port), ca };
  addresses["identity proxy"] = tls.asAgent;
  addresses["client proxy"] = await localProxy(own.tunnel.kubeconfig);
  for (const [listener, what, slowness] of SLOW) {
    slow.set(`${listener} ${what}`, await SlowPeers.connect(SLOW_PEERS, addresses[listener], slowness));
  }
});
afterAll(async () => {
  for (const peers of slow.values()) peers.end();
  await own.stop();
});

/** Slow peers are there from the beginning, so that all tests below are with them. */
const SLOW: [listener: Flooded | "client proxy", what: string, slowness: Slowness][] = [
  ["relay", "begin no handshake", {}],
  ["relay", "never finish a request's head", { protocol: "http/1.1", says: "GET / HTTP/1.1\r\nHost: x\r\n" }],
  ["relay", "never send a request", { protocol: "http/1.1" }],
  ["relay", "never finish HTTP/2's preface", { protocol: "h2", says: "PRI * HTTP/2.0\r\n" }],
  ["relay", "never open a lane", { protocol: "h2", says: frames.CLIENT_PREFACE.toString("latin1") }],
  ["identity proxy", "begin no handshake", {}],
  ["identity proxy", "never finish HTTP/2's preface", { protocol: "h2", says: "PRI * HTTP/2.0\r\n" }],
  ["identity proxy", "never open a lane", { protocol: "h2", says: frames.CLIENT_PREFACE.toString("latin1") }],
  ["client proxy", "begin no handshake", {}],
  ["client proxy", "never finish a request's head", { protocol: "http/1.1", says: "GET / HTTP/1.1\r\nHost: x\r\n" }],
  ["client proxy", "never send a request", { protocol: "http/1.1" }],
];

/** Each gives the next bytes of a flood; `id` counts up by streams. */
const FLOODS: [what: string, next: (id: number, first: boolean) => Buffer, isCut: boolean][] = [
  ["rapid resets", (id) => Buffer.concat([frames.openCall(id, LANE), frames.cancelCall(id)]), true],
  ["more lanes than a connection may have", (id) => frames.openCall(id, LANE), true],
  ["a head without end", (_, first) => (first ? frames.beginHead(1) : frames.continueHead(1)), true],
  ["SETTINGS", frames.settings, true],
  ["PING", frames.ping, true],
  ["empty DATA frames", (_, first) => (first ? frames.openCall(1, LANE) : frames.emptyData(1)), true],
  // It costs next to nothing: 0.1 s of CPU for 1.5 s of it.
  ["WINDOW_UPDATE", frames.windowUpdate, false],
];

describe.each<Flooded>(["relay", "identity proxy"])("the %s", (listener) => {
  it.each(FLOODS)("stays within its memory and serves others under a flood of %s", async (_what, next, isCut) => {
    const flood = await FloodingPeer.open(addresses[listener]);
    let id = -1;
    const step = (): Buffer => {
      id += 2;
      return next(id, id === 1);
    };
    const outcome = await othersServedDuring(flood.flood(step, isCut ? FLOOD_MS : 1_000));
    expect(outcome.isCut).toBe(isCut);
    expect(await memoryMib(listener)).toBeLessThan(MOST_MEMORY_MIB);
  });
});

describe("the client proxy", () => {
  it("serves its user beside many connections that say nothing or not enough", async () => {
    expect(slow.get("client proxy never send a request")?.count).toBe(SLOW_PEERS);
    expect((await rawRequest(own.tunnel.kubeconfig, "/version")).status).toBe(200);
    expect(await memoryMib("client proxy")).toBeLessThan(MOST_MEMORY_MIB);
  });
});

describe.each(SLOW.filter(([listener]) => listener !== "client proxy"))("peers of the %s that %s", (listener, what) => {
  it("are all ended by it", async () => {
    const peers = slow.get(`${listener} ${what}`);
    await eventually(() => peers?.count === 0, { what: "the end of slow peers", timeoutMs: SLOW_ENDS_MS });
  });
});

/** Sends another client's requests for as long as a flood goes on: each has to be answered. */
async function othersServedDuring(flood: Promise<FloodOutcome>): Promise<FloodOutcome> {
  let isOver = false;
  const over = flood.finally(() => {
    isOver = true;
  });
  do {
    const startedAt = performance.now();
    expect((await rawRequest(own.tunnel.kubeconfig, "/version")).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(OTHERS_WAIT_MS);
  } while (!isOver);
  return over;
}

async function memoryMib(process: Flooded | "client proxy"): Promise<number> {
  const status = await readFile(`/proc/${own.tunnel.processes[process].pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
}

async function localProxy(kubeconfigFile: string): Promise<ListenerAddress> {
  const kubeconfig = new KubeConfig();
  kubeconfig.loadFromString(await readFile(kubeconfigFile, "utf8"));
  const { server = "", caData = "" } = kubeconfig.getCurrentCluster() ?? {};
  return { port: Number(new URL(server).port), ca: Buffer.from(caData, "base64") };
}
