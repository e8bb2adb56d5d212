import { once } from "node:events";
import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  AccessService,
  CredentialSchema,
  DataSchema,
  EndSchema,
  ErrorCode,
  FairleadError,
  Hop,
  MAX_FRAME_DATA_BYTES,
  MAX_HEAD_BYTES,
  methodPath,
  newExchangeId,
  type RequestFrame,
  RequestFrameSchema,
  type RequestHead,
  RequestHeadSchema,
  WholeRequestSchema,
} from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Bridge, type BridgeOptions } from "./bridge-fixture.ts";
import type { Upstream } from "./upstream.ts";
import { settled, WireServer } from "./wire-fixture.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function scene(prepare?: BridgeOptions["prepare"]): Promise<{ bridge: Bridge; origin: WireServer }> {
  const origin = await new WireServer().start();
  ends.push(() => origin.close());
  const bridge = await Bridge.start({ origin: origin.port, ...(prepare && { prepare }) });
  ends.push(() => bridge.close());
  return { bridge, origin };
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const denied = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "you may not");

describe("a served lane", () => {
  it("carries exchange after exchange", async () => {
    const { bridge, origin } = await scene();
    const open = await bridge.openLane();
    open.sendWhole({ target: "/0" });
    const wire = await origin.accept();
    for (let i = 0; i < 20; i++) {
      await wire.until(`GET /${i} HTTP/1.1\r\n`);
      wire.write(OK);
      expect(await open.frame()).toMatchObject({ case: "whole", value: { head: { status: 200 } } });
      open.sendWhole({ target: `/${i + 1}` });
    }
    expect(bridge.served.opened).toBe(1);
  });

  it("answers with the exchange's own id", async () => {
    const { bridge, origin } = await scene();
    const open = await bridge.openLane();
    const exchangeId = Buffer.from("0123456789abcdef");
    open.sendWhole({ exchangeId });
    const wire = await origin.accept();
    await wire.head();
    wire.write(OK);
    const frame = await open.frame();
    expect(frame.case === "whole" && Buffer.from(frame.value.head?.exchangeId ?? []).equals(exchangeId)).toBe(true);
  });

  it("keeps the order of frames that come while it is still unknown where the request goes", async () => {
    const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
    const { bridge, origin } = await scene(async (upstream) => {
      await allowed;
      return upstream;
    });
    const open = await bridge.openLane();
    open.sendHead({ method: "POST" });
    let offset = 0;
    let body = "";
    for (let i = 0; i < 50; i++) {
      const piece = `piece ${i};`;
      open.sendData(piece, offset);
      offset += piece.length;
      body += piece;
    }
    open.sendEnd(offset, "last");
    expect(origin.wires).toHaveLength(0);
    allow();
    const wire = await origin.accept();
    const text = await wire.until("0\r\n\r\n");
    const chunks = text.slice(text.indexOf("\r\n\r\n") + 4).split(/[0-9a-f]+\r\n/);
    expect(chunks.join("").replaceAll("\r\n", "")).toBe(`${body}last`);
  });

  it("whose requester leaves while it is still unknown where the request goes sends nothing on", async () => {
    const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
    const { bridge, origin } = await scene(async (upstream) => {
      await allowed;
      return upstream;
    });
    for (const how of ["head", "whole", "upgrade"]) {
      const open = await bridge.openLane();
      if (how === "whole") open.sendWhole({});
      else open.sendHead({ upgrade: how === "upgrade" ? "websocket" : "" });
      open.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "the client went away"));
    }
    await settled(() => bridge.served.live);
    expect(bridge.served).toEqual({ opened: 3, live: 0 });
    allow();
    await settled(() => origin.wires.length);
    expect(origin.wires).toHaveLength(0);
  });

  it("that refuses a whole request lives on", async () => {
    let refuse = true;
    const { bridge, origin } = await scene((upstream) => {
      if (refuse) throw denied;
      return upstream;
    });
    const open = await bridge.openLane();
    open.sendWhole({});
    expect(await open.frame()).toMatchObject({ case: "error", value: { code: ErrorCode.ACCESS_DENIED } });
    await open.idle;
    refuse = false;
    open.sendWhole({ target: "/next" });
    const wire = await origin.accept();
    expect(await wire.head()).toMatch(/^GET \/next /);
    expect(origin.wires).toHaveLength(1);
  });

  it("that refuses a request whose body still comes tells the reason first, and then ends", async () => {
    const { bridge, origin } = await scene(() => Promise.reject(denied));
    const open = await bridge.openLane();
    open.sendHead({ method: "POST" });
    open.sendData("body");
    expect(await open.frame()).toMatchObject({
      case: "error",
      value: { code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY },
    });
    expect(await open.closed).toBeInstanceOf(FairleadError);
    await settled(() => bridge.served.live);
    expect([bridge.served.live, origin.wires.length]).toEqual([0, 0]);
  });

  it("that refuses a request whose body has come by then lives on", async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const { bridge } = await scene(async () => {
      await asked;
      throw denied;
    });
    const open = await bridge.openLane();
    open.sendHead({ method: "POST" });
    open.sendEnd();
    setImmediate(ask);
    expect(await open.frame()).toMatchObject({ case: "error", value: { code: ErrorCode.ACCESS_DENIED } });
    const [over] = await Promise.all([Promise.race([open.idle.then(() => "idle"), open.closed])]);
    expect(over === "idle" || over instanceof FairleadError).toBe(true);
  });

  it.each([
    ["an exchange id that is none", { exchangeId: Buffer.from("short") }, ErrorCode.PROTOCOL_VIOLATION],
    ["a target over 1 MiB", { target: `/${"x".repeat(MAX_HEAD_BYTES)}` }, ErrorCode.HEAD_TOO_LARGE],
  ])("refuses a head with %s", async (_what, init, code) => {
    const { bridge, origin } = await scene();
    const open = await bridge.openLane();
    open.sendWhole(init);
    expect(await open.frame()).toMatchObject({ case: "error", value: { code } });
    expect(origin.wires).toHaveLength(0);
  });

  it("is ended by a whole request that has no head, or that cannot be decoded, alone", async () => {
    const { bridge, origin } = await scene();
    const other = await bridge.openLane();
    for (const message of [Buffer.from([0x22, 0x00]), Buffer.from([0x22, 0x02, 0x0a, 0x7f])]) {
      const open = await bridge.openLane();
      open.lane.sendMessage(message);
      const result = await Promise.race([open.frame(), open.closed]);
      expect(result instanceof FairleadError ? result : result?.value).toMatchObject({
        code: ErrorCode.PROTOCOL_VIOLATION,
      });
    }
    other.sendWhole({});
    const wire = await origin.accept();
    await wire.head();
    wire.write(OK);
    await other.idle;
  });

  it("serves the next exchange after an upload that had filled the origin's connection", async () => {
    const { bridge, origin } = await scene();
    const open = await bridge.openLane();
    for (let round = 0; round < 3; round++) {
      open.sendHead({ method: "POST" });
      const piece = Buffer.alloc(65_536); // as much as a connection takes at once
      for (let i = 0; i < 10; i++) open.sendData(piece, i * piece.length);
      open.sendEnd(10 * piece.length);
      const wire = origin.wires[0] ?? (await origin.accept());
      await wire.until("0\r\n\r\n");
      wire.received = Buffer.alloc(0);
      wire.write(OK);
      expect(await open.frame()).toMatchObject({ case: "whole" });
    }
    expect(bridge.served).toEqual({ opened: 1, live: 1 });
  });

  it("serves the next exchange after an upload whose end came in one packet with its last bytes", async () => {
    const { bridge, origin } = await scene();
    const session = connect(`http://127.0.0.1:${bridge.lanePort}`);
    ends.push(() => session.destroy());
    const path = methodPath(AccessService.method.exchange);
    const call = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
    call.on("error", () => {}).resume();
    const head = create(RequestHeadSchema, { exchangeId: newExchangeId(), method: "POST", target: "/upload" });
    const data = new Uint8Array(MAX_FRAME_DATA_BYTES); // as much as a connection takes at once: it says to wait
    call.write(
      Buffer.concat([
        prefixed({ case: "head", value: head }),
        prefixed({ case: "data", value: create(DataSchema, { data }) }),
        prefixed({ case: "end", value: create(EndSchema, { offset: BigInt(data.length) }) }),
      ]),
    );
    const wire = await origin.accept();
    await wire.until("\r\n0\r\n\r\n");
    const answered = once(call, "data");
    wire.write(OK);
    await answered;
    const next = create(RequestHeadSchema, { exchangeId: newExchangeId(), method: "GET", target: "/next" });
    call.write(prefixed({ case: "whole", value: create(WholeRequestSchema, { head: next }) }));
    await wire.until("GET /next ");
  });
});

describe("whoever prepared an exchange hears, once, that it is over", () => {
  let overs: string[];
  const hears = (upstream: Upstream, { target }: RequestHead): Upstream => ({
    ...upstream,
    over: () => void overs.push(target),
  });
  beforeEach(() => {
    overs = [];
  });

  it("when it was answered, one after the other", async () => {
    const { bridge, origin } = await scene(hears);
    const open = await bridge.openLane();
    for (const target of ["/a", "/b"]) {
      open.sendWhole({ target });
      const wire = origin.wires[0] ?? (await origin.accept());
      await wire.until(`GET ${target} `);
      wire.write(OK);
      await open.frame();
    }
    await settled(() => overs.length);
    expect(overs).toEqual(["/a", "/b"]);
  });

  it.each(["head", "whole", "upgrade"])("when its requester left: %s", async (how) => {
    const { bridge, origin } = await scene(hears);
    const open = await bridge.openLane();
    if (how === "whole") open.sendWhole({ target: "/gone" });
    else open.sendHead({ target: "/gone", upgrade: how === "upgrade" ? "websocket" : "" });
    await origin.accept();
    expect(overs).toEqual([]);
    open.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "the client went away"));
    await settled(() => overs.length);
    expect(overs).toEqual(["/gone"]);
  });

  it("when its requester left while it was prepared", async () => {
    const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
    const { bridge } = await scene(async (upstream, head) => {
      await allowed;
      return hears(upstream, head);
    });
    const open = await bridge.openLane();
    open.sendWhole({ target: "/gone" });
    open.lane.reset(new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "the client went away"));
    await settled(() => bridge.served.live);
    allow();
    await settled(() => overs.length);
    expect(overs).toEqual(["/gone"]);
  });

  it("when the origin cut it", async () => {
    const { bridge, origin } = await scene(hears);
    const open = await bridge.openLane();
    open.sendHead({ target: "/cut", method: "POST" });
    (await origin.accept()).socket.destroy();
    await open.frame();
    await settled(() => overs.length);
    expect(overs).toEqual(["/cut"]);
  });
});

describe("a served lane that nobody carries exchanges on by", () => {
  it("refuses a credential, and carries the next exchange", async () => {
    const { bridge, origin } = await scene();
    const open = await bridge.openLane();
    const value = create(CredentialSchema, { exchangeId: newExchangeId(), cluster: "prod", token: "t" });
    open.lane.sendRequest({ case: "credential", value });
    expect(await open.frame()).toMatchObject({ case: "error", value: { code: ErrorCode.ACCESS_DENIED } });
    open.sendWhole({});
    const wire = await origin.accept();
    await wire.head();
    wire.write(OK);
    expect(await open.frame()).toMatchObject({ case: "whole" });
  });
});

/** A request frame as gRPC has it on the wire. */
function prefixed(frame: RequestFrame["frame"]): Buffer {
  const message = toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
