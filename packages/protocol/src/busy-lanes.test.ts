import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { FairleadError } from "./errors.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import { Lane } from "./lane.ts";
import { CallFixture, LaneRecord, requestMessage, responseMessage, StreamRecord } from "./lane-fixture.ts";
import { receiveWindows } from "./receive-windows.ts";

/** Both ends of each lane are in this process: an exchange counts twice. Each test ends what it begins. */
let calls: CallFixture;
beforeAll(async () => {
  calls = await CallFixture.start();
});
afterEach(() => expect(receiveWindows.busyLanes).toBe(0));
afterAll(() => calls.close());

const gone = new FairleadError(ErrorCode.CANCELLED, Hop.AGENT, "the test is over");

/** A lane with a `Lane` at both ends, ready for exchanges. */
async function lanePair(on = calls) {
  const { client, server: call } = await on.open();
  const [requester, server] = [new Lane(client, "requester", Hop.RELAY), new Lane(call, "server", Hop.AGENT)];
  const [asked, served] = [new LaneRecord(), new LaneRecord()];
  requester.start(asked);
  server.start(served);
  server.sendReady();
  await asked.frames.take();
  return { requester, server, asked, served };
}

type Pair = Awaited<ReturnType<typeof lanePair>>;
const closed = ({ asked, served }: Pair) => Promise.all([asked.closes.take(), served.closes.take()]);
const idle = ({ asked, served }: Pair) => Promise.all([asked.idles.take(), served.idles.take()]);

/** A server's lane, and its requester as a bare call that may send anything. */
async function serverLane() {
  const { client: peer, server: call } = await calls.open();
  const heard = new StreamRecord();
  peer.start(heard);
  const [server, served] = [new Lane(call, "server", Hop.AGENT), new LaneRecord()];
  server.start(served);
  server.sendReady();
  await heard.messages.take();
  return { server, served, peer, heard };
}

const WAYS: [string, "head" | "whole", (pair: Pair) => Promise<unknown>][] = [
  [
    "was answered",
    "whole",
    (pair) => {
      pair.server.sendMessage(responseMessage("whole"));
      return idle(pair);
    },
  ],
  [
    "failed with an error",
    "whole",
    (pair) => {
      pair.server.sendMessage(responseMessage("error"));
      return idle(pair);
    },
  ],
  [
    "was answered before its request's end",
    "head",
    async (pair) => {
      pair.server.sendMessage(responseMessage("whole"));
      await pair.asked.frames.take();
      expect(receiveWindows.busyLanes).toBe(2);
      pair.requester.sendMessage(requestMessage("end"));
      await idle(pair);
    },
  ],
  [
    "was answered in pieces, and its lane ended by the server",
    "whole",
    (pair) => {
      for (const name of ["head", "data", "end"] as const) pair.server.sendMessage(responseMessage(name));
      pair.server.end();
      return closed(pair);
    },
  ],
  [
    "was answered, and its lane reset after",
    "whole",
    async (pair) => {
      pair.server.sendMessage(responseMessage("whole"));
      await idle(pair);
      pair.requester.reset(gone);
      await closed(pair);
    },
  ],
  [
    "was reset by its requester",
    "head",
    (pair) => {
      pair.requester.reset(gone);
      return closed(pair);
    },
  ],
  [
    "was reset by its server, twice",
    "head",
    (pair) => {
      for (let i = 0; i < 2; i++) pair.server.reset(gone);
      return closed(pair);
    },
  ],
  [
    "was reset by both",
    "whole",
    (pair) => {
      pair.server.reset(gone);
      pair.requester.reset(gone);
      return closed(pair);
    },
  ],
  [
    "was refused by its server",
    "head",
    (pair) => {
      pair.server.refuse(gone);
      return closed(pair);
    },
  ],
  [
    "was refused by its requester",
    "whole",
    async (pair) => {
      pair.requester.refuse(gone);
      await pair.asked.closes.take();
      pair.server.reset(gone);
      await pair.served.closes.take();
    },
  ],
  [
    "was ended by its requester before its request's end",
    "head",
    (pair) => {
      pair.requester.end();
      return closed(pair);
    },
  ],
  [
    "was ended by its server before the answer",
    "whole",
    (pair) => {
      pair.server.end();
      return closed(pair);
    },
  ],
];

describe("the count of busy lanes", () => {
  it.each(WAYS)("is back at 0 when an exchange %s", async (_how, request, end) => {
    const pair = await lanePair();
    pair.requester.sendMessage(requestMessage(request));
    expect(receiveWindows.busyLanes).toBe(1);
    await pair.served.frames.take();
    expect(receiveWindows.busyLanes).toBe(2);
    await end(pair);
    expect(receiveWindows.busyLanes).toBe(0);
    pair.requester.reset(gone);
  });

  it("is back at 0 when a frame out of order, or none at all, ended the exchange", async () => {
    for (const message of [requestMessage("head"), Buffer.alloc(0)]) {
      const { served, peer, heard } = await serverLane();
      peer.send(requestMessage("head"));
      await served.frames.take();
      expect(receiveWindows.busyLanes).toBe(1);
      peer.send(message);
      await Promise.all([served.closes.take(), heard.closes.take()]);
      expect(receiveWindows.busyLanes).toBe(0);
    }
  });

  it("is back at 0 when the lane's owner threw at the exchange's first frame", async () => {
    const { server, served, peer } = await serverLane();
    const frame = () => {
      throw new TypeError("planted");
    };
    server.start({ frame, drained: () => {}, idle: () => {}, closed: (error) => served.closed(error) });
    peer.send(requestMessage("whole"));
    expect(await served.closes.take()).toMatchObject({ code: ErrorCode.INTERNAL });
    expect(receiveWindows.busyLanes).toBe(0);
  });

  it("is not changed by a frame that its own end may not send, or by a lane that is gone", async () => {
    const pair = await lanePair();
    expect(() => pair.requester.sendMessage(requestMessage("data"))).toThrow();
    expect(() => pair.server.sendMessage(responseMessage("whole"))).toThrow();
    expect(receiveWindows.busyLanes).toBe(0);
    pair.requester.sendMessage(requestMessage("whole"));
    expect(() => pair.requester.sendMessage(requestMessage("whole"))).toThrow();
    await pair.served.frames.take();
    expect(receiveWindows.busyLanes).toBe(2);
    pair.requester.reset(gone);
    pair.requester.sendMessage(requestMessage("whole"));
    await closed(pair);
    pair.server.sendMessage(responseMessage("whole"));
    expect(receiveWindows.busyLanes).toBe(0);
  });

  it("is back at 0 when a connection with idle and busy lanes is lost, hundreds of exchanges later", async () => {
    const own = await CallFixture.start();
    const closes: Promise<unknown>[] = [];
    for (let i = 0; i < 6; i++) {
      const pair = await lanePair(own);
      for (let exchanges = 0; exchanges < 50; exchanges++) {
        pair.requester.sendMessage(requestMessage("whole"));
        await pair.served.frames.take();
        pair.server.sendMessage(responseMessage("whole"));
        await idle(pair);
      }
      if (i % 2 === 0) pair.requester.sendMessage(requestMessage("head"));
      if (i % 2 === 0) await pair.served.frames.take();
      closes.push(closed(pair));
    }
    expect(receiveWindows.busyLanes).toBe(6);
    own.cut();
    await Promise.all(closes);
    expect(receiveWindows.busyLanes).toBe(0);
    await own.close();
  });
});
