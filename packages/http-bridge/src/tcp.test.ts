import { randomBytes } from "node:crypto";
import { connect, createServer } from "node:net";
import { create } from "@bufbuild/protobuf";
import { ErrorCode, FairleadError, Hop, ResponseHeadSchema, WholeResponseSchema } from "@fairlead/protocol";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Bridge } from "./bridge-fixture.ts";
import { InboundTcp } from "./inbound-tcp.ts";
import { type TcpScene, tcpHead, tcpScene, tcpUpstream } from "./tcp-fixture.ts";
import { settled, Wire } from "./wire-fixture.ts";

const MIB = 1024 * 1024;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function clientOf({ port }: TcpScene): Promise<Wire> {
  const wire = await Wire.connect(port);
  ends.push(() => wire.socket.destroy());
  return wire;
}

/** A connection from end to end. */
async function joined(): Promise<TcpScene & { client: Wire; service: Wire }> {
  const scene = await tcpScene(ends);
  const client = await clientOf(scene);
  return { ...scene, client, service: await scene.origin.accept() };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Takes all that comes without keeping it, to the end. @returns how many bytes */
async function drain(wire: Wire): Promise<number> {
  let bytes = 0;
  wire.socket.removeAllListeners("data");
  wire.socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  wire.socket.resume();
  await wire.ended;
  return bytes;
}

describe("a TCP connection over a lane", () => {
  it("carries bytes as they are, whoever speaks first", async () => {
    const { client, service, answered } = await joined();
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    service.write(all);
    expect(Buffer.from(await client.until(256), "latin1")).toEqual(all);
    client.write(all);
    expect(Buffer.from(await service.until(256), "latin1")).toEqual(all);
    expect(answered).toEqual([101]);
  });

  it("goes on in one direction when the other has ended, from the client's side", async () => {
    const { client, service, released } = await joined();
    client.socket.end("all");
    await service.ended;
    expect(service.text).toBe("all");
    service.write("still ");
    await client.until("still ");
    service.socket.end("here");
    await client.ended;
    expect(client.text).toBe("still here");
    await until(() => released() === 1);
    expect([await client.closed, await service.closed]).toEqual([undefined, undefined]);
  });

  it("goes on in one direction when the other has ended, from the Service's side", async () => {
    const { client, service, released } = await joined();
    service.socket.end("bye");
    await client.ended;
    client.write("not yet");
    await service.until("not yet");
    client.socket.end();
    await service.ended;
    await until(() => released() === 1);
  });

  it("ends with both directions, and its lane is free again", async () => {
    const { client, service, released, faults, bridge } = await joined();
    client.socket.end();
    service.socket.end();
    await Promise.all([client.closed, service.closed]);
    await until(() => released() === 1);
    expect(faults).toEqual([]);
    expect(bridge.served.live).toBe(1);
  });

  it("carries 20 MB both ways at once, and each side ends with all of the other's", async () => {
    const { client, service } = await joined();
    const body = randomBytes(20_000_000);
    const collect = async (wire: Wire): Promise<Buffer> => {
      const chunks: Buffer[] = [];
      wire.socket.removeAllListeners("data"); // not toArray: it destroys the socket, with what is still to be sent
      wire.socket.on("data", (chunk: Buffer) => chunks.push(chunk)).end(body);
      await wire.ended;
      return Buffer.concat(chunks);
    };
    const [atClient, atService] = await Promise.all([collect(client), collect(service)]);
    expect([atClient.equals(body), atService.equals(body)]).toEqual([true, true]);
  });

  it.each(["client", "service"] as const)("stops the other side when the %s does not read", async (slow) => {
    const scene = await joined();
    const [reader, writer] = slow === "client" ? [scene.client, scene.service] : [scene.service, scene.client];
    reader.socket.pause();
    let sent = 0;
    const piece = Buffer.alloc(256 * 1024);
    const pour = (): void => {
      while (sent < 60 * MIB) {
        sent += piece.length;
        if (!writer.socket.write(piece)) return void writer.socket.once("drain", pour);
      }
      writer.socket.end();
    };
    pour();
    expect(await settled(() => sent)).toBeLessThan(30 * MIB);
    expect(await drain(reader)).toBe(60 * MIB);
  });

  it("sends what is left when both directions have been said to end", async () => {
    const { client, service, released } = await joined();
    client.socket.pause();
    service.socket.end(Buffer.alloc(8 * MIB));
    client.socket.end();
    await settled(() => service.socket.bytesWritten);
    expect(await drain(client)).toBe(8 * MIB);
    await until(() => released() === 1);
  });
});

describe("a TCP connection that is cut", () => {
  it("by the Service is reset at the client, which is not told that it ended", async () => {
    const { client, service, faults } = await joined();
    service.write("half an ans");
    await client.until("half an ans");
    service.reset();
    expect(await client.closed).toBe("ECONNRESET");
    expect(faults).toMatchObject([{ code: ErrorCode.CONNECTION_LOST, hop: Hop.SERVICE, message: "ECONNRESET" }]);
  });

  it("by the client is reset at the Service, and nobody is told", async () => {
    const { client, service, faults } = await joined();
    client.write("half a quest");
    await service.until("half a quest");
    client.reset();
    expect(await service.closed).toBe("ECONNRESET");
    expect(faults).toEqual([]);
  });

  it("by the loss of its lane is reset on both sides", async () => {
    const { client, service, bridge, faults } = await joined();
    service.write("half");
    await client.until("half");
    bridge.cutLanes();
    expect(await Promise.all([client.closed, service.closed])).toEqual(["ECONNRESET", "ECONNRESET"]);
    expect(faults).toMatchObject([{ code: ErrorCode.CONNECTION_LOST }]);
  });

  it("by its token's expiry is reset on both sides, and says why", async () => {
    const why = () => new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.IDENTITY_PROXY, "your token expired");
    const scene = await tcpScene(ends, { ends: { atMs: 1, why } });
    const client = await clientOf(scene);
    const service = await scene.origin.accept();
    await until(() => scene.answered.length === 1);
    scene.bridge.endExpired(2);
    expect(await Promise.all([client.closed, service.closed])).toEqual(["ECONNRESET", "ECONNRESET"]);
    expect(scene.faults).toMatchObject([{ code: ErrorCode.TOKEN_REFUSED, message: "your token expired" }]);
  });

  it("after the Service's half-close is reset all the same", async () => {
    const { client, service } = await joined();
    service.socket.end("all of it");
    await client.ended;
    service.reset();
    const writing = setInterval(() => client.socket.writable && client.write("x"), 5); // node hears of a reset by writing
    expect(["ECONNRESET", "EPIPE"]).toContain(await client.closed);
    clearInterval(writing);
  });
});

describe("a TCP connection that is not made", () => {
  it("resets the client, and says which hop failed", async () => {
    const port = await closedPort();
    const scene = await tcpScene(ends, tcpUpstream(port));
    const client = await clientOf(scene);
    expect(await client.closed).toBe("ECONNRESET");
    expect(scene.faults).toMatchObject([{ code: ErrorCode.UNREACHABLE, hop: Hop.SERVICE, message: "ECONNREFUSED" }]);
    expect(scene.answered).toEqual([]);
    await until(() => scene.bridge.served.live === 0);
  });

  it("is dialled by no request without an upgrade, which is told that it would be", async () => {
    const scene = await tcpScene(ends);
    const lane = await scene.bridge.openLane();
    lane.sendWhole({ method: "POST" });
    expect(await lane.frame()).toMatchObject({ case: "whole", value: { head: { status: 204 } } });
    await lane.idle;
    expect([scene.origin.wires.length, scene.answered]).toEqual([0, [204]]);
  });

  it("takes no bytes before it is made", async () => {
    const scene = await tcpScene(ends);
    const lane = await scene.bridge.openLane();
    lane.sendHead({ method: "POST", upgrade: "tcp.fairlead.dev" });
    lane.sendData("too early");
    const early = { code: ErrorCode.PROTOCOL_VIOLATION, message: "bytes came before the connection was made" };
    expect(await lane.frame()).toMatchObject({ case: "error", value: early });
  });

  it("takes no bytes with a gap between", async () => {
    const scene = await tcpScene(ends);
    const lane = await scene.bridge.openLane();
    lane.sendHead({ method: "POST", upgrade: "tcp.fairlead.dev" });
    const service = await scene.origin.accept();
    await lane.frame();
    lane.sendData("x", 5);
    expect(await lane.frame()).toMatchObject({ case: "error", value: { code: ErrorCode.PROTOCOL_VIOLATION } });
    expect(await service.closed).toBe("ECONNRESET");
  });

  it("leaves nothing behind when the client leaves while it is dialled", async () => {
    const dialled = connect({ host: "never-found.test", port: 80, allowHalfOpen: true, lookup: () => {} });
    const closed = new Promise((resolve) => dialled.once("close", resolve));
    const scene = await tcpScene(ends, { connect: () => dialled });
    const lane = await scene.bridge.openLane();
    lane.sendHead({ method: "POST", upgrade: "tcp.fairlead.dev" });
    lane.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.CLIENT_PROXY, "left"));
    await closed;
    await until(() => scene.bridge.served.live === 0);
    expect(scene.answered).toEqual([]);
  });
});

describe("an answer that is none", () => {
  const head = (status: number, exchangeId: Uint8Array) => create(ResponseHeadSchema, { status, exchangeId });

  it.each([
    ["an older identity proxy's, in one message", "whole", 404, /answered 404 .* older/],
    ["an older identity proxy's, in several", "head", 403, /answered 403 .* older/],
    ["one to another request", "other", 101, /not to this request/],
  ] as const)("cuts the client and says so: %s", async (_what, kind, status, says) => {
    const bridge = await Bridge.start({
      serve: (lane) => {
        lane.start({
          frame: () => {
            const value = head(status, kind === "other" ? Buffer.alloc(16) : asked.exchangeId);
            if (kind === "whole")
              lane.sendResponse({ case: "whole", value: create(WholeResponseSchema, { head: value }) });
            else lane.sendResponse({ case: "head", value });
          },
          drained: () => {},
          idle: () => {},
          closed: () => {},
        });
        lane.sendReady();
      },
    });
    ends.push(() => bridge.close());
    const asked = tcpHead();
    const faults: FairleadError[] = [];
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (socket) => {
      const { lane } = await bridge.openLane();
      const events = { released: () => {}, failed: (error: FairleadError) => void faults.push(error) };
      new InboundTcp(socket, lane, asked, events).start();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const client = await Wire.connect(Object(server.address()).port);
    expect(await client.closed).toBe("ECONNRESET");
    await until(() => faults.length > 0);
    expect(faults).toMatchObject([{ code: ErrorCode.PROTOCOL_VIOLATION, message: expect.stringMatching(says) }]);
  });
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = Object(server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}
