import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { FairleadError } from "./errors.ts";
import { FrameStream, type FrameStreamEvents } from "./frame-stream.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type AgentFrame,
  AgentFrameSchema,
  RelayFrameSchema,
} from "./gen/fairlead/tunnel/v1alpha1/tunnel_service_pb.ts";
import { CallFixture, Mailbox, StreamRecord } from "./lane-fixture.ts";

let calls: CallFixture;
beforeAll(async () => {
  calls = await CallFixture.start();
});
afterAll(() => calls.close());

class Record implements FrameStreamEvents<typeof AgentFrameSchema> {
  readonly frames = new Mailbox<AgentFrame["frame"]>();
  readonly closes = new Mailbox<FairleadError | undefined>();
  frame({ frame }: AgentFrame): void {
    this.frames.put(frame);
  }
  closed(error?: FairleadError): void {
    this.closes.put(error);
  }
}

/** A relay's control stream, and its agent as a bare call that may send anything. */
async function controlStream() {
  const { client, server } = await calls.open();
  const heard = new StreamRecord();
  client.start(heard);
  const control = new FrameStream(server, RelayFrameSchema, AgentFrameSchema, Hop.AGENT);
  const record = new Record();
  control.start(record);
  return { control, record, agent: client, heard };
}

const agentFrame = (frame: AgentFrame["frame"]["case"]): Uint8Array =>
  toBinary(AgentFrameSchema, create(AgentFrameSchema, { frame: { case: frame, value: {} } as never }));

describe("a control stream", () => {
  it("carries frames both ways, in the schema's order", async () => {
    const { control, record, agent, heard } = await controlStream();
    for (const frame of ["register", "heartbeat", "condition", "heartbeat", "drain", "heartbeat"] as const) {
      agent.send(agentFrame(frame));
      expect((await record.frames.take()).case).toBe(frame);
    }
    control.send({ frame: { case: "registered", value: { cluster: "c" } } });
    control.send({ frame: { case: "laneDemand", value: { lanes: 3 } } });
    await heard.messages.take();
    await heard.messages.take();
    agent.end();
    expect(await record.closes.take()).toBeUndefined();
  });

  it.each([
    ["that begins with another frame", ["heartbeat"]],
    ["that registers twice", ["register", "register"]],
    ["that drains twice", ["register", "drain", "drain"]],
    ["with a message that is no frame", ["register", Buffer.from([0x08, 0x01])]],
    ["with a frame that cannot be decoded", [Buffer.from([0x0a, 0x02, 0x0a, 0x7f])]],
  ] as [string, (AgentFrame["frame"]["case"] | Buffer)[]][])("%s is refused, alone", async (_what, frames) => {
    const bystander = await controlStream();
    const { record, agent, heard } = await controlStream();
    for (const frame of frames) agent.send(typeof frame === "object" ? frame : agentFrame(frame));
    expect(await record.closes.take()).toBeInstanceOf(FairleadError);
    expect(await heard.closes.take()).toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
    bystander.agent.send(agentFrame("register"));
    expect((await bystander.record.frames.take()).case).toBe("register");
  });

  it("is refused when its owner throws", async () => {
    const { record, agent, heard } = await controlStream();
    record.frame = () => {
      throw new Error("planted");
    };
    agent.send(agentFrame("register"));
    expect(await record.closes.take()).toMatchObject({ code: ErrorCode.INTERNAL });
    expect((await heard.closes.take())?.message).toContain("planted");
  });

  it("throws at an end that would send out of order, and lives on", async () => {
    const { control, record, agent } = await controlStream();
    expect(() => control.send({ frame: { case: "heartbeat", value: {} } })).toThrow("heartbeat may not follow start");
    expect(() => control.send({})).toThrow("not one known frame");
    agent.send(agentFrame("register"));
    expect((await record.frames.take()).case).toBe("register");
  });

  it("that is refused or reset ends for the agent", async () => {
    const refused = await controlStream();
    refused.control.refuse(new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.RELAY, "no such token"));
    expect(await refused.heard.closes.take()).toMatchObject({
      code: ErrorCode.TOKEN_REFUSED,
      message: "no such token",
    });
    const reset = await controlStream();
    reset.control.reset(new FairleadError(ErrorCode.DRAINING, Hop.RELAY, "stopping"));
    expect(await reset.heard.closes.take()).toMatchObject({ code: ErrorCode.CANCELLED });
    expect(await reset.record.closes.take()).toMatchObject({ code: ErrorCode.DRAINING });
  });
});
