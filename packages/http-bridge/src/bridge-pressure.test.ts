import { createHash, type Hash, randomBytes } from "node:crypto";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Bridge } from "./bridge-fixture.ts";
import { settled, Wire, WireServer } from "./wire-fixture.ts";

const MIB = 1024 * 1024;
/** What goes through: far more than all buffers on the way may hold. */
const TOTAL = 40 * MIB;
/** What may be on the way, the kernel's own buffers of three connections included. */
const MOST_ON_THE_WAY = 28 * MIB;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function scene(): Promise<{ bridge: Bridge; origin: WireServer; client: Wire }> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  const bridge = await Bridge.start({ origin: origin.port, keepFrames: false });
  ends.push(() => bridge.close());
  return { bridge, origin, client: await clientOf(bridge) };
}

async function clientOf(bridge: Bridge): Promise<Wire> {
  const wire = await Wire.connect(bridge.port);
  ends.push(() => wire.socket.destroy());
  return wire;
}

/** Writes TOTAL random bytes as fast as they are taken. */
function pour(wire: Wire): { sent: number; hash: Hash } {
  const poured = { sent: 0, hash: createHash("sha1") };
  const piece = randomBytes(256 * 1024);
  const more = (): void => {
    while (poured.sent < TOTAL) {
      piece.writeUInt32BE(poured.sent, 0); // so that a loss or a swap of whole pieces is seen
      poured.hash.update(piece);
      poured.sent += piece.length;
      if (!wire.socket.write(Buffer.from(piece))) return void wire.socket.once("drain", more);
    }
  };
  more();
  return poured;
}

/** Reads TOTAL bytes without keeping them, and compares them with those that were poured. */
async function drink(wire: Wire, poured: { hash: Hash }): Promise<void> {
  const hash = createHash("sha1");
  let got = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  wire.socket.removeAllListeners("data");
  wire.socket.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    got += chunk.length;
    if (got >= TOTAL) resolve();
  });
  wire.socket.resume();
  await promise;
  expect([got, hash.digest("hex")]).toEqual([TOTAL, poured.hash.digest("hex")]);
}

/** Another exchange, to show that the stalled one stalls nobody else. */
async function anotherWorks({ bridge, origin }: { bridge: Bridge; origin: WireServer }): Promise<void> {
  const client = await clientOf(bridge);
  client.write("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
  const wire = await origin.accept();
  await wire.head();
  wire.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"); // the next is to have its own
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
    await drink(wire, poured);
    wire.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    await client.until("HTTP/1.1 200 OK");
    await anotherWorks({ bridge, origin });
    await settled(() => bridge.idleLanes - bridge.served.live);
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
    await drink(client, poured);
    await settled(() => bridge.idleLanes - bridge.served.live);
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
      await drink(to, poured);
    }
    client.socket.end();
    wire.socket.end();
    await Promise.all([client.closed, wire.closed]);
    await settled(() => bridge.idleLanes - bridge.served.live);
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
    await settled(() => bridge.idleLanes - bridge.served.live);
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
    await settled(() => bridge.idleLanes - bridge.served.live);
    expect(bridge.served.live).toBe(bridge.idleLanes);
  });
});
