import type { Subject } from "@fairlead/authentication";
import { checkScope, narrowed } from "@fairlead/authorization";
import type { Prepare, Upstream } from "@fairlead/http-bridge";
import { Hop, type RequestHead } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Apiserver, ApiserverConnection } from "./apiserver.ts";
import type { Callers } from "./callers.ts";
import { CarryOn } from "./carry-on.ts";
import { callerToken, impersonatingHeaders, refuseImpersonation } from "./impersonation.ts";
import { RequestRecord } from "./request-record.ts";

/**
 * Decides for each request who the caller is, by the caller's own token, and how it goes on to the apiserver.
 *
 * @param carryOn hears of the exchanges that begin, for newer tokens to carry them on
 * @returns what {@link Prepare} says; it refuses with TOKEN_REFUSED, ACCESS_DENIED or ISSUER_UNAVAILABLE
 */
export function identityProxy(
  callers: Callers,
  apiserver: Apiserver,
  log: Logger,
  carryOn = new CarryOn(callers, log),
): Prepare {
  const record = new RequestRecord(log);
  const judge = (status: number) => apiserver.judge(status);
  const as = (caller: Subject, head: RequestHead, { host, pool, token }: ApiserverConnection): Upstream => {
    const subject = narrowed(caller, head.scope); // nothing below knows the caller's other groups
    checkScope(head, Hop.IDENTITY_PROXY);
    refuseImpersonation(head);
    const startedAt = performance.now();
    const answered = (status: number): void => record.answered(head, subject, startedAt, status);
    const headers = impersonatingHeaders(head, subject, host, token);
    return { pool, headers, answered, judge, ...carryOn.begin(head, caller) };
  };
  const refuse = (head: RequestHead, error: unknown): never => {
    record.refused(head, error);
    throw error;
  };
  return (head) => {
    try {
      const token = callerToken(head);
      const known = callers.known(token);
      const connection = apiserver.current;
      if (known && connection) return as(known, head, connection); // at once: most requests come behind another
      return callers
        .authenticate(token, head)
        .then(async (subject) => as(subject, head, await apiserver.connection()))
        .catch((error: unknown) => refuse(head, error));
    } catch (error) {
      return refuse(head, error);
    }
  };
}
