import type { Subject } from "@fairlead/authentication";
import { errorCodeName, exchangeIdText, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";

/**
 * This process's own record: a line for each request, under the id that the cluster's audit log has it by (`auditID`).
 * Paths are without their query, in which callers may have put what nobody else should read.
 */
export class RequestRecord {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The apiserver has answered; of a watch and an upgrade it is the beginning. @param startedAt by performance.now() */
  answered(head: RequestHead, subject: Subject, startedAt: number, status: number): void {
    const ms = Math.round(performance.now() - startedAt);
    this.#log.info({ ...lineOf(head), user: subject.user, groups: subject.groups.length, status, ms }, "request");
  }

  /** It was refused here, and the apiserver has seen nothing of it. */
  refused(head: RequestHead, error: unknown): void {
    const { code, message } = FairleadError.from(error, Hop.IDENTITY_PROXY);
    this.#log.info({ ...lineOf(head), refused: errorCodeName(code), reason: message }, "request refused");
  }
}

function lineOf({ exchangeId, cluster, method, target, upgrade, client }: RequestHead) {
  const [path] = target.split("?", 1);
  return { auditID: exchangeIdText(exchangeId), cluster, method, path, ...(upgrade && { upgrade }), client };
}
