import type { TokenVerifier } from "@fairlead/authentication";
import type { Prepare } from "@fairlead/http-bridge";
import { exchangeIdText } from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import type { Apiserver } from "./apiserver.ts";
import { callerToken, impersonatingHeaders, refuseImpersonation } from "./impersonation.ts";

/**
 * Decides for each request who the caller is, by the caller's own token, and how it goes on to the apiserver.
 *
 * @returns what {@link Prepare} says; it refuses with TOKEN_REFUSED, ACCESS_DENIED or ISSUER_UNAVAILABLE
 */
export function identityProxy(verifier: TokenVerifier, apiserver: Apiserver, log: Logger): Prepare {
  return async (head) => {
    const subject = await verifier.verify(callerToken(head));
    refuseImpersonation(head);
    const { host, pool, token } = await apiserver.connection();
    log.debug({ exchange: exchangeIdText(head.exchangeId), user: subject.user, method: head.method }, "request");
    return {
      pool,
      headers: impersonatingHeaders(head, subject, host, token),
      judge: (status) => apiserver.judge(status),
    };
  };
}
