import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "@jest/globals";
import { PacedListener, type PacedListenerOptions } from "./paced-listener.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));
async function until(is: () => boolean): Promise<void> {
  while (!is()) await turn();
}

/** A listener of which each connection is kept, and peers that dial it. */
async function scene(options: PacedListenerOptions = {}) {
  const begun: Socket[] = [];
  const listener = new PacedListener((socket) => {
    begun.push(socket);
    ends.push(() => socket.destroy());
  }, options);
  await new Promise<void>((resolve) => listener.server.listen(0, "127.0.0.1", resolve));
  ends.push(() => listener.close());
  const { port } = listener.server.address() as AddressInfo;
  const dial = (count: number): Socket[] => {
    const peers = Array.from({ length: count }, () =>
      connect(port, "127.0.0.1")
        .on("error", () => {})
        .resume(),
    );
    ends.push(() => peers.map((peer) => peer.destroy()));
    return peers;
  };
  return { listener, begun, dial };
}

const NEVER = { countsForMs: 60_000 };

describe("a listener that many dial at once", () => {
  it("lets no more handshakes be under way than its limit, the next when one has ended", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 4, ...NEVER });
    dial(20);
    await until(() => listener.waiting === 16);
    expect(begun).toHaveLength(4);
    for (let ended = 0; ended < 16; ended++) {
      listener.done(begun[ended] as Socket);
      expect(begun).toHaveLength(5 + ended);
    }
    expect(listener.waiting).toBe(0);
  });

  it("begins them in the order in which they came, each once", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 1, ...NEVER });
    const ports: (number | undefined)[] = [];
    for (let i = 0; i < 10; i++) {
      const [peer] = dial(1);
      await until(() => begun.length + listener.waiting === i + 1);
      ports.push(peer?.localPort);
    }
    for (const _ of ports) listener.done(begun.at(-1) as Socket);
    expect(begun.map(({ remotePort }) => remotePort)).toEqual(ports);
  });

  it("begins one more for each that ended, however often that is said", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 2, ...NEVER });
    dial(10);
    await until(() => listener.waiting === 8);
    for (let i = 0; i < 5; i++) listener.done(begun[0] as Socket);
    expect(begun).toHaveLength(3);
  });

  it("is not held up by peers that never end theirs", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 2, countsForMs: 20 });
    dial(10);
    await until(() => begun.length === 10);
    expect(listener.waiting).toBe(0);
    expect(begun.every(({ destroyed }) => !destroyed)).toBe(true);
  });

  it("begins the next when a peer has gone instead of ending its handshake", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 1, ...NEVER });
    const [peer] = dial(1);
    await until(() => begun.length === 1);
    dial(1);
    await until(() => listener.waiting === 1);
    begun[0]?.resume();
    peer?.destroy();
    await until(() => begun.length === 2);
  });

  it("closes those that waited for longer than a peer waits, and begins the first of the others", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 1, waitsForMs: 50, ...NEVER });
    dial(1);
    await until(() => begun.length === 1);
    const [first, second] = dial(2);
    await until(() => listener.waiting === 2);
    await new Promise((resolve) => setTimeout(resolve, 60));
    const [third] = dial(1);
    await until(() => listener.waiting === 3);
    listener.done(begun[0] as Socket);
    await until(() => first?.destroyed === true && second?.destroyed === true);
    expect(begun[1]?.remotePort).toBe(third?.localPort);
    expect(listener.waiting).toBe(0);
  });

  it("reads nothing of those that wait, and loses nothing of what they sent", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 1, ...NEVER });
    dial(1);
    await until(() => begun.length === 1);
    const [peer] = dial(1);
    peer?.end("hello");
    await until(() => listener.waiting === 1);
    for (let i = 0; i < 20; i++) await turn();
    listener.done(begun[0] as Socket);
    const waited = begun[1] as Socket;
    expect(waited.bytesRead).toBe(0);
    let text = "";
    waited
      .setEncoding("utf8")
      .on("data", (chunk: string) => (text += chunk))
      .resume();
    await new Promise((resolve) => waited.on("end", resolve));
    expect(text).toBe("hello");
  });

  it("closes those that no room is for", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 1, mostWaiting: 3, ...NEVER });
    const peers = dial(10);
    await until(() => peers.filter(({ destroyed }) => destroyed).length === 6);
    expect([begun.length, listener.waiting]).toEqual([1, 3]);
  });

  it("closes those that wait when it is closed, and begins no more", async () => {
    const { listener, begun, dial } = await scene({ atOnce: 1, ...NEVER });
    const peers = dial(10);
    await until(() => listener.waiting === 9);
    listener.close();
    expect(listener.waiting).toBe(0);
    await until(() => peers.filter(({ destroyed }) => destroyed).length === 9);
    listener.done(begun[0] as Socket);
    expect(begun).toHaveLength(1);
  });
});
