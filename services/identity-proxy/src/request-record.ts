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
      const original = caller === who.user ? {} : { originalUser: caller };
      const line = { ...lineOf(head), user: who.user, ...original, groups: who.groups.length, status, ms };
      this.#log.info(line, "request");
    };
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
