import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import { DataSchema, EndSchema, Hop, type Lane } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { BodyFrame } from "./bodies.ts";
import { RawConnection } from "./raw-connection.ts";
import { settled, Wire } from "./wire-fixture.ts";

const PIECE = 64 * 1024;

let server: Server;
let socket: Socket;
let peer: Wire;
let raw: RawConnection;
let sent: BodyFrame[];
/** What was asked of the lane. */
let asked: ("pause" | "resume")[];
/** Whether the lane takes what is sent. */
let flows: boolean;

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const accepted = once(server, "connection");
  peer = new Wire(connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true }));
  [socket] = await accepted;
  socket.on("error", () => {});
  [sent, asked, flows] = [[], [], true];
  const lane = { pause: () => void asked.push("pause"), resume: () => void asked.push("resume") } as unknown as Lane;
  const send = (frame: BodyFrame): boolean => {
    sent.push(frame);
    return flows;
  };
  raw = new RawConnection(socket, lane, send, Hop.RELAY);
});

afterEach(async () => {
  socket.destroy();
  peer.socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Fills what there is between here and a peer that does not read. @returns how many bytes that were */
function fill(): number {
  peer.socket.pause();
  let offset = 0;
  while (!asked.includes("pause")) {
    raw.accept({ case: "data", value: create(DataSchema, { offset: BigInt(offset), data: Buffer.alloc(PIECE) }) });
    offset += PIECE;
  }
  return offset;
}

const end = (offset: number): BodyFrame => ({ case: "end", value: create(EndSchema, { offset: BigInt(offset) }) });

describe("a connection that is joined to a lane", () => {
  it("is not read before it is started, by nothing", async () => {
    peer.write("early");
    raw.laneDrained();
    await settled(() => sent.length);
    expect(sent).toEqual([]);
    raw.start();
    await until(() => sent.length === 1);
  });

  it("is not read on while the lane takes nothing", async () => {
    raw.start();
    flows = false;
    peer.write("first");
    await until(() => sent.length === 1);
    peer.write("second");
    await settled(() => sent.length);
    expect(sent).toHaveLength(1);
    raw.laneDrained();
    await until(() => sent.length === 2);
  });

  it("stops the lane while its peer does not read, and no longer", async () => {
    raw.start();
    fill();
    expect(asked).toEqual(["pause"]);
    peer.socket.resume();
    await until(() => asked.length === 2);
    expect(asked).toEqual(["pause", "resume"]);
  });

  it("leaves the lane alone once it is finished: the lane may be another's, who has stopped it", async () => {
    raw.start();
    const bytes = fill();
    raw.accept(end(bytes));
    raw.finish();
    expect(asked.pop()).toBe("resume");
    asked = [];
    peer.socket.resume();
    await peer.until(bytes);
    await peer.ended;
    expect(asked).toEqual([]);
  });

  it("is reset some time after its end, if its peer takes nothing of what it is owed", async () => {
    raw.start();
    raw.accept(end(fill()));
    const closed = once(socket, "close");
    raw.finish(50);
    await closed;
    peer.socket.resume();
    expect(await peer.closed).toBe("ECONNRESET");
  });

  it("takes no frame that is not the next", () => {
    raw.start();
    expect(() => raw.accept(end(7))).toThrow(/goes on at byte 7 where 0 was due/);
  });
});
