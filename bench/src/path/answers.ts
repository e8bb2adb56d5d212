import { eventually } from "@fairlead/test/support/eventually";
import { type Endpoint, requestBytes } from "../load/endpoint.ts";
import { LoadConnection } from "../load/load-connection.ts";

/** How long a path may take to answer for the first time, in milliseconds. */
const FIRST_ANSWER_MS = 20_000;

/** Waits until a GET through a path is answered. @throws Error with the last reason if it never is */
export async function untilAnswers(name: string, endpoint: Endpoint, target: string): Promise<void> {
  let reason = "";
  const ask = (): Promise<boolean> =>
    get(endpoint, target).then(
      () => true,
      (error: Error) => {
        reason = error.message;
        return false;
      },
    );
  await eventually(ask, { what: `an answer through ${name}`, timeoutMs: FIRST_ANSWER_MS }).catch((cause) => {
    throw new Error(`${name} does not answer: ${reason}`, { cause });
  });
}

/** A GET on a connection of its own. @throws Error if it is not answered by 200 */
export async function get(endpoint: Endpoint, target: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const connection = await LoadConnection.open(endpoint, {
    onAnswer: (isGood, statusLine) => (isGood ? resolve() : reject(new Error(statusLine))),
    onLost: (reason) => reject(new Error(reason)),
  });
  connection.socket.write(requestBytes(endpoint, "GET", target));
  await promise.finally(() => connection.close());
}
