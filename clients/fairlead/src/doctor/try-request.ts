import { create } from "@bufbuild/protobuf";
import type { ProofKey } from "@fairlead/authentication";
import { Failure, failureOf } from "@fairlead/diagnosis";
import { header } from "@fairlead/http-bridge";
import {
  decodeResponse,
  ErrorCode,
  FairleadError,
  Hop,
  type Lane,
  newExchangeId,
  type RequestFrame,
  RequestHeadSchema,
  type ResponseHead,
  WholeRequestSchema,
} from "@fairlead/protocol";
import { LanePool } from "../proxy/lane-pool.ts";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { VERSION } from "../version.ts";

/** How long the answer may take, in milliseconds: an agent that is away is waited for by the relay for 4 s. */
const ANSWER_MS = 10_000;
/** Everybody who is authenticated may read it (system:public-info-viewer), and it only reads. */
const TARGET = "/version";

/** What the apiserver answered. */
interface Answer {
  status: number;
  body: string;
}

/**
 * Sends a real request all the way to the apiserver, as the caller.
 *
 * @throws Failure of the hop that refuses it or that cannot be reached
 */
export async function tryRequest(relay: RelayConnection, cluster: string, key: ProofKey | undefined): Promise<string> {
  const pool = new LanePool(relay.url, relay.openLanes);
  const startedAt = performance.now();
  try {
    const frame = await requestFrame(await relay.token(), cluster, key);
    const { status, body } = await answerOn(await pool.take(() => false), frame);
    const said = `GET ${TARGET} brought HTTP ${status} of the apiserver in ${Math.round(performance.now() - startedAt)} ms`;
    if (status >= 500) throw new Failure("apiserver", `${said}: ${body}`, "in the cluster: see kube-apiserver's log");
    if (status === 403 && /cannot impersonate/.test(body)) {
      throw new Failure("rights", `${said}: ${body}`, "give the identity proxy's account what `fairlead rbac` prints");
    }
    return said;
  } catch (error) {
    throw error instanceof FairleadError ? failureOf(error, false) : error;
  } finally {
    pool.close();
  }
}

async function requestFrame(token: string, cluster: string, key: ProofKey | undefined): Promise<RequestFrame["frame"]> {
  const head = create(RequestHeadSchema, {
    ...{ exchangeId: newExchangeId(), cluster, method: "GET", target: TARGET, client: `fairlead/${VERSION}` },
    headers: [header("Authorization", `Bearer ${token}`), header("Accept", "application/json")],
  });
  const proof = await key?.prove({ ...head, token });
  if (proof !== undefined) head.headers.push(header("DPoP", proof));
  return { case: "whole", value: create(WholeRequestSchema, { head }) };
}

/** The answer to a request; its body as far as it is one message. */
async function answerOn(lane: Lane, frame: RequestFrame["frame"]): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const late = new FairleadError(ErrorCode.TIMED_OUT, Hop.RELAY, `no answer within ${ANSWER_MS / 1_000} s`);
  const timer = setTimeout(() => lane.reset(late), ANSWER_MS);
  let head: ResponseHead | undefined;
  const chunks: Uint8Array[] = [];
  lane.start({
    frame: (_field, message) => {
      const { case: name, value } = decodeResponse(message);
      if (name === "error") return reject(FairleadError.fromMessage(value));
      if (name === "head") head = value;
      if (name === "whole") return resolve({ status: value.head?.status ?? 0, body: textOf([value.body]) });
      if (name === "data" || name === "end") chunks.push(value.data);
      if (name === "end") resolve({ status: head?.status ?? 0, body: textOf(chunks) });
    },
    drained: () => {},
    idle: () => {},
    closed: (error) => reject(error ?? new FairleadError(ErrorCode.CONNECTION_LOST, Hop.RELAY, "the lane ended")),
  });
  lane.sendRequest(frame);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function textOf(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString("utf8");
}
