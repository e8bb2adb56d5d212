import { create, createFileRegistry, type DescMessage, type MessageInitShape, setExtension } from "@bufbuild/protobuf";
import {
  type DescriptorProtoSchema,
  type FieldDescriptorProto_Label,
  type FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  OneofOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "@jest/globals";
import { FrameOrder } from "./frame-order.ts";
import { order } from "./gen/fairlead/stream/v1alpha1/order_pb.ts";
import { RequestFrameSchema, ResponseFrameSchema } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { AgentFrameSchema, RelayFrameSchema } from "./gen/fairlead/tunnel/v1alpha1/tunnel_service_pb.ts";

/** What every stream of the contract allows, written by hand a second time. `start` is the state before any frame. */
const STREAMS: { schema: DescMessage; allowed: Record<string, string[]>; ending: string[] }[] = [
  {
    schema: RequestFrameSchema,
    allowed: {
      start: ["head", "whole", "credential"],
      head: ["data", "end"],
      data: ["data", "end"],
      end: ["head", "whole", "credential"],
      whole: ["head", "whole", "credential"],
      credential: ["head", "whole", "credential"],
    },
    ending: ["end", "whole", "credential"],
  },
  {
    schema: ResponseFrameSchema,
    allowed: {
      start: ["ready"],
      ready: ["informational", "head", "whole", "error"],
      informational: ["informational", "head", "whole", "error"],
      head: ["data", "end", "error"],
      data: ["data", "end", "error"],
      end: ["informational", "head", "whole", "error"],
      whole: ["informational", "head", "whole", "error"],
      error: ["informational", "head", "whole", "error"],
    },
    ending: ["end", "whole", "error"],
  },
  {
    schema: AgentFrameSchema,
    allowed: {
      start: ["register"],
      register: ["heartbeat", "condition", "drain"],
      heartbeat: ["heartbeat", "condition", "drain"],
      condition: ["heartbeat", "condition", "drain"],
      drain: ["heartbeat", "condition"],
    },
    ending: [],
  },
  {
    schema: RelayFrameSchema,
    allowed: {
      start: ["registered"],
      registered: ["heartbeat", "lane_demand", "drain"],
      heartbeat: ["heartbeat", "lane_demand", "drain"],
      lane_demand: ["heartbeat", "lane_demand", "drain"],
      drain: ["heartbeat", "lane_demand"],
    },
    ending: [],
  },
];

describe("the order of frames in the schema", () => {
  for (const { schema, allowed, ending } of STREAMS) {
    const compiled = new FrameOrder(schema);
    const frames = schema.fields.map(({ number, name }) => ({ number, name }));
    for (const from of [{ number: 0, name: "start" }, ...frames]) {
      it(`lets only ${allowed[from.name]?.join(", ")} follow ${from.name} in ${schema.name}`, () => {
        const follow = frames.filter((to) => compiled.allows(from.number, to.number)).map(({ name }) => name);
        expect(follow.sort()).toEqual([...(allowed[from.name] ?? [])].sort());
      });
    }

    it(`counts ${ending.join(", ") || "nothing"} as the last frame of an exchange in ${schema.name}`, () => {
      expect(frames.filter(({ number }) => compiled.ends(number)).map(({ name }) => name)).toEqual(ending);
    });
  }

  it("knows the message's own fields only", () => {
    const compiled = new FrameOrder(RequestFrameSchema);
    expect([0, 1, 4, 5, 12, 99].map((field) => compiled.knows(field))).toEqual([
      false,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(compiled.allows(99, 1)).toBe(false);
    expect(compiled.allows(0, 99)).toBe(false);
  });

  it("names frames by their field, for error sentences", () => {
    const compiled = new FrameOrder(RequestFrameSchema);
    expect([0, 1, 2, 99].map((field) => compiled.nameOf(field))).toEqual(["start", "head", "data", "field 99"]);
    expect(compiled.typeName).toBe("fairlead.tunnel.v1alpha1.RequestFrame");
  });
});

describe("a grammar in a schema", () => {
  it("may spread the steps of one frame over several lines", () => {
    const compiled = new FrameOrder(messageWith(["a", "b"], ["start -> a", "a -> a", "a -> b", "b -> a"]));
    expect(compiled.allows(1, 1)).toBe(true);
    expect(compiled.allows(1, 2)).toBe(true);
    expect(compiled.allows(2, 2)).toBe(false);
  });

  it("may go through idle before anything followed start", () => {
    const compiled = new FrameOrder(messageWith(["a"], ["start -> idle", "idle -> a", "a -> idle"]));
    expect(compiled.allows(0, 1)).toBe(true);
    expect(compiled.ends(1)).toBe(true);
  });

  it.each([
    ["names an unknown frame on the right", ["a"], ["start -> a", "a -> nosuch"], "names the unknown frame nosuch"],
    ["names an unknown frame on the left", ["a"], ["start -> a", "nosuch -> a"], "names the unknown frame nosuch"],
    ["goes back to start", ["a"], ["start -> a", "a -> start"], "cannot lead to start"],
    ["goes from idle to idle", ["a"], ["start -> idle", "idle -> idle a", "a -> idle"], "cannot lead to idle"],
    ["never reaches a frame", ["a", "b"], ["start -> a", "b -> a"], "never reaches the frame b"],
    ["has no step from start", ["a"], ["a -> a"], "never reaches the frame a"],
    ["reaches frames by idle alone, which nothing leads to", ["a"], ["idle -> a"], "never reaches the frame a"],
    ["has a line without an arrow", ["a"], ["start a"], 'cannot read the order "start a"'],
    ["has a line with nothing behind the arrow", ["a"], ["start -> "], "cannot read the order"],
    ["separates frames by commas", ["a", "b"], ["start -> a, b"], "cannot read the order"],
  ])("is refused at start-up when it %s", (_why, frames, lines, sentence) => {
    const message = messageWith(frames, lines);
    expect(() => new FrameOrder(message)).toThrow(sentence);
  });

  it.each([
    ["has no grammar", () => messageWith(["a"], [])],
    ["has a field beside the oneof", () => messageWith(["a"], ["start -> a"], { besides: true })],
    ["has two oneofs with a grammar", () => messageWith(["a"], ["start -> a"], { twice: true })],
  ])("is refused at start-up when the message %s", (_why, makeMessage) => {
    const message = makeMessage();
    expect(() => new FrameOrder(message)).toThrow("one oneof with the order option and nothing else");
  });
});

const TYPE_STRING = 9 satisfies FieldDescriptorProto_Type.STRING;
const LABEL_OPTIONAL = 1 satisfies FieldDescriptorProto_Label.OPTIONAL;

/** Builds the descriptor of a message with one oneof of string fields, numbered from 1, and its grammar. */
function messageWith(
  frames: string[],
  lines: string[],
  flaws: { besides?: boolean; twice?: boolean } = {},
): DescMessage {
  const options = create(OneofOptionsSchema);
  if (lines.length > 0) setExtension(options, order, lines);
  const field = (name: string, number: number) => ({ name, number, type: TYPE_STRING, label: LABEL_OPTIONAL });
  const message: MessageInitShape<typeof DescriptorProtoSchema> = {
    name: "Planted",
    oneofDecl: [{ name: "frame", options }],
    field: frames.map((name, i) => ({ ...field(name, i + 1), oneofIndex: 0 })),
  };
  if (flaws.besides) message.field?.push(field("besides", 100));
  if (flaws.twice) {
    message.oneofDecl?.push({ name: "other", options });
    message.field?.push({ ...field("a2", 101), oneofIndex: 1 });
  }
  const file = create(FileDescriptorProtoSchema, { name: "planted.proto", syntax: "proto3", messageType: [message] });
  const found = createFileRegistry(file, () => undefined).getMessage("Planted");
  if (!found) throw new Error("the planted message was not built");
  return found;
}
