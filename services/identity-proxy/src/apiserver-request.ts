import { Agent, request } from "node:https";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Apiserver } from "./apiserver.ts";

const TIMEOUT_MS = 10_000;
/** Longest answer that is read, in characters: a review's is a few KiB, a large account's rights some hundred. */
const MAX_ANSWER_CHARACTERS = 8 * 1024 * 1024;
/** Questions come in bursts, and some wait for each other. */
const connections = new Agent({ keepAlive: true, maxSockets: 16, timeout: TIMEOUT_MS });

/** What the apiserver answered. */
export interface ApiserverAnswer {
  status: number;
  /** Parsed; undefined if it is no JSON. */
  body: unknown;
}

/** What the apiserver is asked. */
interface Question {
  method: "GET" | "POST";
  path: string;
  /** Sent as JSON. */
  body?: object;
  /** More headers, in node's raw form. */
  headers?: readonly string[];
}

/** Creates something, by this process's own credential. @throws FairleadError as {@link ask} */
export function post(
  apiserver: Apiserver,
  path: string,
  body: object,
  headers: readonly string[] = [],
): Promise<ApiserverAnswer> {
  return ask(apiserver, { method: "POST", path, body, headers });
}

/**
 * Asks the apiserver something of this process's own, by its own credential.
 *
 * @throws FairleadError UNREACHABLE if there is no answer, OWN_CREDENTIAL_REFUSED
 */
export async function ask(
  apiserver: Apiserver,
  { method, path, body, headers = [] }: Question,
): Promise<ApiserverAnswer> {
  const { address, host, token } = await apiserver.connection();
  const { promise, resolve, reject } = Promise.withResolvers<ApiserverAnswer>();
  const text = body === undefined ? "" : JSON.stringify(body);
  const own = ["Host", host, "Content-Type", "application/json", "Content-Length", String(Buffer.byteLength(text))];
  if (token !== undefined) own.push("Authorization", `Bearer ${token}`);
  const sent = request(
    {
      ...{ host: address.host, port: address.port, ...address.tls, agent: connections },
      ...{ path, method, timeout: TIMEOUT_MS, headers: [...own, ...headers] },
    },
    (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_CHARACTERS) response.destroy(new Error("its answer is too long"));
      });
      response.on("error", (cause) => reject(unreachable(cause)));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: parsed(text) }));
    },
  );
  sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
  sent.on("error", (cause) => reject(unreachable(cause)));
  sent.end(text);
  return promise;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The apiserver cannot be asked. */
export function unreachable(cause: Error): FairleadError {
  const sentence = `the identity proxy cannot reach the apiserver (${cause.message}); check its address and that it is up`;
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, sentence, { cause });
}
