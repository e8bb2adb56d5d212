import { Agent } from "node:http";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Bridge } from "./bridge-fixture.ts";
import type { Upstream } from "./upstream.ts";
import { settled, Wire, WireServer } from "./wire-fixture.ts";

const MIB = 1024 * 1024;
/** What goes through: far more than all buffers on the way may hold. */
const TOTAL = 64 * MIB;
/** What may be on the way, the kernel's own buffers of three connections included. */
const MOST_ON_THE_WAY = 32 * MIB;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function scene(): Promise<{ bridge: Bridge; origin: WireServer; client: Wire }> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  const agent = new Agent({ keepAlive: false }); // each request to the origin has a connection of its own
  const prepare = (upstream: Upstream): Upstream => ({ ...upstream, agent });
  const bridge = await Bridge.start({ origin: origin.port, prepare, keepFrames: false });
  ends.push(() => bridge.close());
  return { bridge, origin, client: await clientOf(bridge) };
}

async function clientOf(bridge: Bridge): Promise<Wire> {
  const wire = await Wire.connect(bridge.port);
  ends.push(() => wire.socket.destroy());
  return wire;
}

/** Writes TOTAL bytes as fast as they are taken. Each carries its offset, so that a loss or a swap is seen. */
function pour(wire: Wire): { sent: number } {
  const progress = { sent: 0 };
  const piece = Buffer.alloc(256 * 1024);
  const more = (): void => {
    while (progress.sent < TOTAL) {
      piece.writeUInt32BE(progress.sent, 0);
      progress.sent += piece.length;
      if (!wire.socket.write(Buffer.from(piece))) return void wire.socket.once("drain", more);
    }
  };
  more();
  return progress;
}

/** Reads on without keeping the bytes, and checks the offsets that `pour` wrote. */
function drink(wire: Wire, already: number): { got: number; all: Promise<void> } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const progress = { got: already, all: promise };
  wire.socket.removeAllListeners("data");
  let held = Buffer.alloc(0);
  wire.socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    progress.got += chunk.length;
    for (; held.length >= 256 * 1024; held = held.subarray(256 * 1024)) {
      const offset = held.readUInt32BE(0);
      if (offset !== progress.got - held.length) reject(new Error(`${offset} at ${progress.got - held.length}`));
    }
    if (progress.got === TOTAL) resolve();
  });
  wire.socket.resume();
  return progress;
}

/** Another exchange, to show that the stalled one stalls nobody else. */
async function anotherWorks({ bridge, origin }: { bridge: Bridge; origin: WireServer }): Promise<void> {
  const client = await clientOf(bridge);
  client.write("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
  const wire = await origin.accept();
  await wire.head();
  wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  await client.until("\r\n\r\nok");
}

describe("a reader that does not read", () => {
  it("at the origin stops the client's upload, others go on, and all arrives once it reads", async () => {
    const { bridge, origin, client } = await scene();
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`);
    const wire = await origin.accept();
    await wire.head();
    wire.socket.pause();
    wire.socket.removeAllListeners("data");
    const poured = pour(client);
    expect(await settled(() => poured.sent)).toBeLessThan(MOST_ON_THE_WAY);
    await anotherWorks({ bridge, origin });
    await drink(wire, 0).all;
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    await client.until("HTTP/1.1 200 OK");
    await anotherWorks({ bridge, origin });
    expect(bridge.served.live).toBe(bridge.idleLanes);
  });

  it("at the client stops the origin's download, others go on, and all arrives once it reads", async () => {
    const { bridge, origin, client } = await scene();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`);
    await client.head();
    client.socket.pause();
    const poured = pour(wire);
    expect(await settled(() => poured.sent)).toBeLessThan(MOST_ON_THE_WAY);
    await anotherWorks({ bridge, origin });
    const [head = "", first = ""] = client.text.split(/(?<=\r\n\r\n)/);
    expect([head.startsWith("HTTP/1.1 200 OK"), first.length]).toEqual([true, 0]);
    await drink(client, 0).all;
    expect(bridge.served.live).toBe(bridge.idleLanes);
  });

  it("at either end of an upgraded connection stops the other, and all arrives once it reads", async () => {
    const { bridge, origin, client } = await scene();
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await client.head();
    for (const [from, to] of [
      [client, wire],
      [wire, client],
    ] as const) {
      to.socket.pause();
      to.socket.removeAllListeners("data");
      const poured = pour(from);
      expect(await settled(() => poured.sent)).toBeLessThan(MOST_ON_THE_WAY);
      await anotherWorks({ bridge, origin });
      await drink(to, 0).all;
    }
    client.socket.end();
    wire.socket.end();
    await Promise.all([client.closed, wire.closed]);
    expect(bridge.served.live).toBe(bridge.idleLanes);
  });

  it("at the client that leaves then, is left at the origin too", async () => {
    const { bridge, origin, client } = await scene();
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const wire = await origin.accept();
    await wire.head();
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    await client.head();
    client.socket.pause();
    let sent = 0;
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    const more = (): void => {
      while (wire.socket.writable && wire.socket.write(chunk)) sent += chunk.length;
    };
    wire.socket.on("drain", more);
    more();
    await settled(() => sent);
    client.reset();
    await wire.closed;
    expect(bridge.served.live).toBe(bridge.idleLanes);
  });

  it("at the origin that leaves then, is told to the client that uploads", async () => {
    const { bridge, origin, client } = await scene();
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`);
    const wire = await origin.accept();
    await wire.head();
    wire.socket.pause();
    const poured = pour(client);
    await settled(() => poured.sent);
    wire.reset();
    expect(await client.head()).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
    await settled(() => bridge.served.live);
    expect(bridge.served.live).toBe(bridge.idleLanes);
  });
});
