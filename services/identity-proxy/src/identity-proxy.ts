import type { Subject } from "@fairlead/authentication";
import { checkScope, narrowed, tokenExpired } from "@fairlead/authorization";
import type { Prepare, Upstream } from "@fairlead/http-bridge";
import { type FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Apiserver, ApiserverConnection } from "./apiserver.ts";
import type { Callers } from "./callers.ts";
import { callerToken, impersonatingHeaders, refuseImpersonation } from "./impersonation.ts";
import { RequestRecord } from "./request-record.ts";

/**
 * Decides for each request who the caller is, by the caller's own token, and how it goes on to the apiserver.
 *
 * @returns what {@link Prepare} says; it refuses with TOKEN_REFUSED, ACCESS_DENIED or ISSUER_UNAVAILABLE
 */
export function identityProxy(callers: Callers, apiserver: Apiserver, log: Logger): Prepare {
  const record = new RequestRecord(log);
  const judge = (status: number) => apiserver.judge(status);
  const as = (caller: Subject, head: RequestHead, { host, pool, token }: ApiserverConnection): Upstream => {
    const subject = narrowed(caller, head.scope); // nothing below knows the caller's other groups
    checkScope(head, Hop.IDENTITY_PROXY);
    refuseImpersonation(head);
    const startedAt = performance.now();
    const answered = (status: number): void => record.answered(head, subject, startedAt, status);
    const ends = { atMs: subject.expiresAtMs, why: expired };
    return { pool, headers: impersonatingHeaders(head, subject, host, token), answered, judge, ends };
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

/** The relay ends such exchanges too; the cluster does not count on it. */
function expired(): FairleadError {
  return tokenExpired(Hop.IDENTITY_PROXY);
}
