import { type ServicePort, servicePortText } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import type { Impersonated } from "../impersonation.ts";

/** The owner has not listed it. */
export function unlisted(port: ServicePort): FairleadError {
  const service = servicePortText(port);
  const sentence = `the cluster's owner has not listed the Service ${service}; ask them for --service ${service} at the identity proxy`;
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

/**
 * The person's RBAC lacks a right, or the cap of a capped tunnel does.
 *
 * @param right such as `get services`
 * @param name the object's, in RBAC's terms
 * @param says what the apiserver says of it, if anything
 */
export function withoutRight(
  { user }: Impersonated,
  right: string,
  { namespace, name }: { namespace: string; name: string },
  says?: string,
): FairleadError {
  const sentence = `${user} may not "${right}" named "${name}" in the namespace ${namespace}, which a connection to the Service takes; ask for that right in the cluster's RBAC${says ? `; the apiserver says: ${says}` : ""}`;
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

/** The token is one that only the apiserver can judge, and no request of this goes there. */
export function passedToService(): FairleadError {
  const sentence =
    "tokens of the cluster's own service accounts are judged by the apiserver alone, and open no connection to a Service; use another token";
  return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.IDENTITY_PROXY, sentence);
}

/** What went wrong with a connection, for people. @param connected whether it was made */
export function connectionFault(port: ServicePort, cause: Error, connected: boolean): FairleadError {
  const reason = (cause as NodeJS.ErrnoException).code ?? cause.message;
  const service = `the Service ${servicePortText(port)}`;
  if (connected) {
    const sentence = `the connection to ${service} was lost (${reason})`;
    return new FairleadError(ErrorCode.CONNECTION_LOST, Hop.SERVICE, sentence, { cause });
  }
  const sentence = `${service} takes no connection (${reason}); look at its endpoints (kubectl get endpointslices -n ${port.namespace}) and at network policies`;
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.SERVICE, sentence, { cause });
}
