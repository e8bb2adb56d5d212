import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, expect, it } from "@jest/globals";
import { DelayLine, MAX_QUEUED_BYTES } from "./delay-line.ts";

const DELAY_MS = 40;

let far: Server;
let line: Server;
let near: Socket;
let arrived: Promise<Socket>;

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

beforeEach(async () => {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  arrived = promise;
  far = createServer({ allowHalfOpen: true }, (socket) => resolve(socket.on("error", () => {})));
  const port = await listening(far);
  line = createServer({ allowHalfOpen: true }, (socket) => {
    const onward = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    new DelayLine(socket, onward, () => DELAY_MS);
    new DelayLine(onward, socket, () => DELAY_MS);
  });
  near = connect({ host: "127.0.0.1", port: await listening(line), allowHalfOpen: true });
  near.on("error", () => {});
});

afterEach(async () => {
  near.destroy();
  (await arrived).destroy();
  far.close();
  line.close();
});

it("what is sent arrives in order, after the delay, and so does the end", async () => {
  const socket = await arrived;
  const sentMs = performance.now();
  const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i % 251));
  near.end(sent);
  await once(socket, "readable");
  expect(performance.now() - sentMs).toBeGreaterThan(DELAY_MS - 1);
  expect((await buffer(socket)).equals(sent)).toBe(true);
});

it("the other direction goes on after one has ended", async () => {
  const socket = await arrived;
  near.end("question");
  let question = "";
  socket.on("data", (bytes: Buffer) => {
    question += bytes;
  });
  await once(socket, "end");
  expect(question).toBe("question");
  socket.end("answer");
  expect((await buffer(near)).toString()).toBe("answer");
});

it("a connection that breaks is broken at the other end too", async () => {
  const socket = await arrived;
  socket.resume();
  const isClosed = new Promise<void>((resolve) => socket.once("close", () => resolve())); // an error comes before it
  near.resetAndDestroy();
  await isClosed;
});

it("a reader that stops stalls its writer, once the line holds what it may", async () => {
  (await arrived).pause();
  let written = 0;
  const chunk = Buffer.alloc(1024 * 1024);
  for (let isStalled = false; !isStalled; ) {
    written += chunk.length;
    if (near.write(chunk)) continue;
    isStalled = await Promise.race([
      once(near, "drain").then(() => false),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 3_000)),
    ]);
  }
  expect(written).toBeGreaterThan(MAX_QUEUED_BYTES);
  expect(written).toBeLessThan(MAX_QUEUED_BYTES + 32 * 1024 * 1024); // the kernel holds some
});
