import type { Socket } from "node:net";
import { errorCodeName, exchangeIdText, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Impersonated } from "./impersonation.ts";

/**
 * This process's own record: a line for each request, under the id that the cluster's audit log has it by (`auditID`).
 * Paths are without their query, in which callers may have put what nobody else should read.
 */
export class RequestRecord {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * What hears of the apiserver's answer; of a watch and an upgrade it is the beginning.
   *
   * @param who as whom the request is carried out
   * @param startedAt by performance.now()
   * @param caller the user whose token it was
   */
  of(head: RequestHead, who: Impersonated, startedAt: number, caller: string): (status: number) => void {
    return (status) => {
      const ms = Math.round(performance.now() - startedAt);
      this.#log.info({ ...lineOf(head), ...asWhom(who, caller), status, ms }, "request");
    };
  }

  /**
   * Has a line written when a connection to a Service is over: how much passed, how long it was there, and whether both
   * sides had said all. Parameters as of {@link of}.
   *
   * @param socket as it was made just now
   */
  ofConnection(head: RequestHead, who: Impersonated, caller: string, socket: Socket): void {
    const startedAt = performance.now();
    let made = false;
    socket.once("connect", () => {
      made = true;
    });
    socket.once("close", () => {
      if (!made) return; // its dial has failed, and is recorded so
      const ms = Math.round(performance.now() - startedAt);
      const bytes = { sentBytes: socket.bytesWritten, receivedBytes: socket.bytesRead };
      const end = socket.readableEnded && socket.writableFinished ? "complete" : "cut";
      this.#log.info({ ...lineOf(head), ...asWhom(who, caller), ...bytes, ms, end }, "connection ended");
    });
  }

  /** It was refused here, and the apiserver has seen nothing of it. */
  refused(head: RequestHead, error: unknown): void {
    const { code, message } = FairleadError.from(error, Hop.IDENTITY_PROXY);
    this.#log.info({ ...lineOf(head), refused: errorCodeName(code), reason: message }, "request refused");
  }
}

function asWhom({ user, groups }: Impersonated, caller: string) {
  return { user, ...(caller !== user && { originalUser: caller }), groups: groups.length };
}

function lineOf({ exchangeId, cluster, method, target, upgrade, client }: RequestHead) {
  const [path] = target.split("?", 1);
  return { auditID: exchangeIdText(exchangeId), cluster, method, path, ...(upgrade && { upgrade }), client };
}
