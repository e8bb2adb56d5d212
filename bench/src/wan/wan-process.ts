import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { answerQuestions } from "../asked-process.ts";
import { DelayLine } from "./delay-line.ts";
import type { WanQuestion, WanTarget } from "./wan.ts";

/*
 * A wide-area network in user space: it listens on ports of loopback, each of which leads to a target, and holds what
 * passes back, in each direction. The handshake of a connection is not delayed: what is measured keeps its connections.
 */

let roundTripMs = 0;

function openLine(target: WanTarget, share: number): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => join(near, target, share));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once("error", reject).listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  return promise;
}

/** @param share of the round trip that this line has; half of it is each direction's */
function join(near: Socket, target: WanTarget, share: number): void {
  const far = connect({ ...target, allowHalfOpen: true, noDelay: true });
  const delayMs = (): number => (roundTripMs * share) / 2;
  new DelayLine(near, far, delayMs);
  new DelayLine(far, near, delayMs);
}

answerQuestions(async (question: WanQuestion) => {
  if ("target" in question) return openLine(question.target, question.share);
  roundTripMs = question.roundTripMs;
  return 0;
});
