import { create } from "@bufbuild/protobuf";
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { answerCredential, sendCredential } from "./credential.ts";
import { FairleadError } from "./errors.ts";
import { newExchangeId } from "./exchange-id.ts";
import { ErrorCode, Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";
import {
  type Credential,
  CredentialSchema,
  RequestFrameSchema,
  WholeResponseSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { decodeRequest, Lane } from "./lane.ts";
import { CallFixture, LaneRecord, requestMessage, responseMessage } from "./lane-fixture.ts";
import { MAX_CREDENTIAL_BYTES } from "./limits.ts";

let calls: CallFixture;
beforeAll(async () => {
  calls = await CallFixture.start();
});
afterEach(() => void jest.useRealTimers());
afterAll(() => calls.close());

/** An idle lane, and its server's end. */
async function scene() {
  const { client, server: call } = await calls.open();
  const [asked, served] = [new LaneRecord(), new LaneRecord()];
  const [requester, server] = [new Lane(client, "requester", Hop.RELAY), new Lane(call, "server", Hop.AGENT)];
  requester.start(asked);
  server.start(served);
  server.sendReady();
  await asked.frames.take();
  return { requester, server, served };
}

type Scene = Awaited<ReturnType<typeof scene>>;

const credential = (changes: Partial<Credential> = {}) =>
  Object.assign(
    create(CredentialSchema, { exchangeId: newExchangeId(), cluster: "prod", token: "t", proof: "p" }),
    changes,
  );

/** The credential that comes next at the server's end. */
async function taken({ served }: Scene): Promise<Credential> {
  const frame = decodeRequest((await served.frames.take()).message);
  if (frame.case !== "credential") throw new Error(`a ${frame.case} came`);
  return frame.value;
}

const denied = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, "no");

describe("a credential", () => {
  it("is judged as it was sent, and whoever sent it hears that it counts", async () => {
    const here = await scene();
    const sent = credential();
    const answered = sendCredential(here.requester, sent, Hop.RELAY);
    const judged: Credential[] = [];
    await answerCredential(here.server, await taken(here), Hop.RELAY, async (one) => void judged.push(one));
    await answered;
    expect(judged).toEqual([sent]);
  });

  it("that is refused is told why, and the lane carries the next one", async () => {
    const here = await scene();
    for (let i = 0; i < 3; i++) {
      const answered = sendCredential(here.requester, credential(), Hop.RELAY);
      const refuse = () => Promise.reject(denied);
      const accept = async () => {};
      await answerCredential(here.server, await taken(here), Hop.RELAY, i === 1 ? accept : refuse);
      if (i === 1) await answered;
      else await expect(answered).rejects.toMatchObject({ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY });
      expect([here.requester.closed, here.requester.inExchange]).toEqual([false, false]);
    }
  });

  it("is refused as INTERNAL where judging fails by a fault of ours", async () => {
    const here = await scene();
    const answered = sendCredential(here.requester, credential(), Hop.AGENT);
    await answerCredential(here.server, await taken(here), Hop.RELAY, () => Promise.reject(new TypeError("oh")));
    await expect(answered).rejects.toMatchObject({ code: ErrorCode.INTERNAL, hop: Hop.RELAY });
  });

  it.each([
    ["whose exchange id is too short", { exchangeId: new Uint8Array(15) }, /not 16 bytes/],
    ["whose exchange id is too long", { exchangeId: new Uint8Array(17) }, /not 16 bytes/],
    ["without exchange id", { exchangeId: new Uint8Array() }, /not 16 bytes/],
    ["whose token is too long", { token: "t".repeat(MAX_CREDENTIAL_BYTES) }, /over 256 KiB/],
    ["whose proof is too long", { proof: "p".repeat(MAX_CREDENTIAL_BYTES) }, /over 256 KiB/],
    ["whose cluster's name is too long", { cluster: "c".repeat(MAX_CREDENTIAL_BYTES) }, /over 256 KiB/],
  ])("%s is not judged", async (_what, changes, says) => {
    const here = await scene();
    const answered = sendCredential(here.requester, credential(changes), Hop.RELAY);
    const judge = jest.fn(async () => {});
    await answerCredential(here.server, await taken(here), Hop.RELAY, judge);
    const message = expect.stringMatching(says);
    await expect(answered).rejects.toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION, hop: Hop.RELAY, message });
    expect(judge).not.toHaveBeenCalled();
  });

  it.each([
    ["a status that is none of a credential's", "whole", 200],
    ["no head", "whole", undefined],
    ["the beginning of an answer", "head", undefined],
  ] as const)("that is answered by %s does not count", async (_what, name, status) => {
    const here = await scene();
    const answered = sendCredential(here.requester, credential(), Hop.RELAY);
    await taken(here);
    if (status === undefined) here.server.sendMessage(responseMessage(name));
    else here.server.sendResponse({ case: "whole", value: create(WholeResponseSchema, { head: { status } }) });
    await expect(answered).rejects.toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
    await here.served.closes.take();
  });

  it("whose lane is lost is not taken for one that counts", async () => {
    const here = await scene();
    const answered = sendCredential(here.requester, credential(), Hop.RELAY);
    await taken(here);
    here.server.reset(denied);
    await expect(answered).rejects.toBeInstanceOf(FairleadError);
    await expect(sendCredential(here.requester, credential(), Hop.RELAY)).rejects.toMatchObject({
      code: ErrorCode.CONNECTION_LOST,
    });
  });

  it("that nobody answers ends its lane after 8 s, and no other", async () => {
    const [here, beside] = [await scene(), await scene()];
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "clearImmediate", "queueMicrotask"] });
    const answered = sendCredential(here.requester, credential(), Hop.RELAY);
    const refused = expect(answered).rejects.toMatchObject({ code: ErrorCode.TIMED_OUT, hop: Hop.RELAY });
    await taken(here);
    jest.advanceTimersByTime(8_000);
    await refused;
    await here.served.closes.take();
    beside.requester.sendMessage(requestMessage("whole"));
    expect((await beside.served.frames.take()).field).toBe(RequestFrameSchema.field.whole.number);
  });

  it("that is answered by a server whose lane is gone by then, harms nobody", async () => {
    const here = await scene();
    const answered = sendCredential(here.requester, credential(), Hop.RELAY).catch((error: unknown) => error);
    const judged = await taken(here);
    here.requester.reset(denied);
    await here.served.closes.take();
    await answerCredential(here.server, judged, Hop.RELAY, async () => {});
    expect(await answered).toBeInstanceOf(FairleadError);
  });
});

describe("a lane whose server does not know credentials", () => {
  it("ends with PROTOCOL_VIOLATION, as for any frame that is unknown, and no other lane does", async () => {
    const [here, beside] = [await scene(), await scene()];
    const answered = sendCredential(here.requester, credential(), Hop.RELAY);
    await taken(here);
    here.server.refuse(new FairleadError(ErrorCode.PROTOCOL_VIOLATION, Hop.RELAY, "a message is not one known frame"));
    await expect(answered).rejects.toMatchObject({ code: ErrorCode.PROTOCOL_VIOLATION });
    expect(beside.requester.closed).toBe(false);
  });
});
