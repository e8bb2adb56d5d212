import type { Apiserver } from "./apiserver.ts";
import { post } from "./apiserver-request.ts";
import { type Impersonated, impersonationHeaders } from "./impersonation.ts";

const REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/** What a review is about (authorization.k8s.io/v1 ResourceAttributes). */
export interface Reviewed {
  verb: string;
  group?: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name: string;
}

/**
 * Asks the apiserver whether somebody may do something, by a SelfSubjectAccessReview that is made as that person: it says
 * what a SubjectAccessReview would, and this process's account needs no right to ask about others.
 *
 * @returns false for every answer but a plain yes
 * @throws FairleadError UNREACHABLE, OWN_CREDENTIAL_REFUSED
 */
export async function mayDo(apiserver: Apiserver, who: Impersonated, reviewed: Reviewed): Promise<boolean> {
  const spec = { resourceAttributes: reviewed };
  const review = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec };
  const { status, body } = await post(apiserver, REVIEWS, review, impersonationHeaders(who));
  const ownFault = apiserver.judge(status);
  if (ownFault) throw ownFault;
  return status === 201 && Object(Object(body).status).allowed === true;
}
