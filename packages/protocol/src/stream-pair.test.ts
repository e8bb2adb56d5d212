import { beforeEach, describe, expect, it } from "@jest/globals";
import { FairleadError } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import type { MessageStream } from "./message-stream.ts";
import { streamPair } from "./stream-pair.ts";

const reason = new FairleadError(ErrorCode.CANCELLED, Hop.RELAY, "it is over");
const message = (text: string) => Buffer.from(text);
const turn = () => new Promise((resolve) => setImmediate(resolve));

let near: MessageStream;
let far: MessageStream;
let heard: string[];

/** Notes what an end is told, with its name before it. */
function listen(name: string, stream: MessageStream): void {
  stream.start({
    message: (bytes) => heard.push(`${name} ${Buffer.from(bytes).toString().slice(0, 20)}`),
    ended: () => heard.push(`${name} ended`),
    drained: () => heard.push(`${name} drained`),
    closed: (error) => heard.push(`${name} closed${error ? `: ${error.message}` : ""}`),
  });
}

beforeEach(() => {
  [near, far] = streamPair();
  heard = [];
});

describe("a stream within this process", () => {
  it("passes messages on in order, both ways, and never within the sender's turn", async () => {
    listen("near", near);
    listen("far", far);
    near.send(message("a"));
    near.send(message("b"));
    far.send(message("c"));
    expect(heard).toEqual([]);
    await turn();
    expect(heard.filter((line) => line.startsWith("far"))).toEqual(["far a", "far b"]);
    expect(heard).toContain("near c");
  });

  it("keeps what comes before its other end has an owner", async () => {
    listen("near", near);
    near.send(message("a"));
    near.end();
    await turn();
    listen("far", far);
    await turn();
    expect(heard).toEqual(["far a", "far ended"]);
  });

  it("tells to wait from 64 KiB on that are not read, and goes on when all is read", async () => {
    listen("near", near);
    listen("far", far);
    far.pause();
    expect(near.send(Buffer.alloc(60_000, "x"))).toBe(true);
    expect(near.send(Buffer.alloc(10_000, "y"))).toBe(false);
    expect(near.send(message("z"))).toBe(false);
    await turn();
    expect(heard).toEqual([]);
    far.resume();
    await turn();
    expect(heard).toEqual([`far ${"x".repeat(20)}`, `far ${"y".repeat(20)}`, "far z", "near drained"]);
    expect(near.send(message("more"))).toBe(true);
  });

  it("stops in the middle for an owner that pauses", async () => {
    listen("near", near);
    far.start({
      message: (bytes) => {
        heard.push(Buffer.from(bytes).toString());
        far.pause();
      },
      ended: () => heard.push("ended"),
      drained: () => {},
      closed: () => {},
    });
    near.send(message("a"));
    near.send(message("b"));
    near.end();
    await turn();
    expect(heard).toEqual(["a"]);
    far.resume();
    await turn();
    expect(heard).toEqual(["a", "b"]);
    far.resume();
    await turn();
    expect(heard).toEqual(["a", "b", "ended"]);
  });

  it("closes in good order when both ends have ended, and each has heard it", async () => {
    listen("near", near);
    listen("far", far);
    near.send(message("last"));
    near.end();
    await turn();
    expect(heard).toEqual(["far last", "far ended"]);
    far.send(message("answer"));
    far.end();
    await turn();
    expect(heard.slice(2)).toEqual(["far closed", "near answer", "near ended", "near closed"]);
  });

  it("sends nothing after its end", async () => {
    listen("far", far);
    near.end();
    expect(near.send(message("late"))).toBe(true);
    await turn();
    expect(heard).toEqual(["far ended"]);
  });

  it("is closed at both ends by a reset, with its reason, even where nobody reads", async () => {
    listen("near", near);
    listen("far", far);
    far.pause();
    near.send(message("lost"));
    near.reset(reason);
    expect(heard).toEqual(["near closed: it is over"]);
    await turn();
    expect(heard).toEqual(["near closed: it is over", "far closed: it is over"]);
    far.resume();
    far.send(message("nobody"));
    far.end();
    far.reset(reason);
    await turn();
    expect(heard).toHaveLength(2);
  });

  it("delivers what came before a refusal, and then the reason", async () => {
    listen("near", near);
    listen("far", far);
    far.send(message("an error"));
    far.refuse(reason);
    await turn();
    expect(heard).toEqual(["far closed: it is over", "near an error", "near closed: it is over"]);
  });

  it.each<[string, (stream: MessageStream) => void]>([
    ["end", (stream) => stream.end()],
    ["reset", (stream) => stream.reset(reason)],
    ["refuse", (stream) => stream.refuse(reason)],
  ])("may be asked to %s more than once, and closes once", async (_what, over) => {
    listen("near", near);
    listen("far", far);
    for (const stream of [near, far, near, far]) over(stream);
    await turn();
    expect(heard.filter((line) => line.includes("closed"))).toHaveLength(2);
  });

  it("may be given up by its owner while a message is told", async () => {
    listen("near", near);
    far.start({
      message: (bytes) => {
        heard.push(`far ${Buffer.from(bytes).toString()}`);
        far.reset(reason);
      },
      ended: () => {},
      drained: () => {},
      closed: () => heard.push("far closed"),
    });
    near.send(message("a"));
    near.send(message("b"));
    await turn();
    expect(heard).toEqual(["far a", "far closed", "near closed: it is over"]);
  });
});
