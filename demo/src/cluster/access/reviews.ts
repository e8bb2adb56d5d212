import { type ApiRequest, sendJson } from "../api-request.ts";
import { type Fields, fieldAt, isFields, textAt } from "../kubernetes-object.ts";
import { objectMediaTypes, readParsedBody } from "../request-body.ts";
import {
  apiVersionOf,
  type ResourceType,
  selfSubjectAccessReviews,
  selfSubjectReviews,
  selfSubjectRulesReviews,
} from "../resource-types.ts";
import { StatusError } from "../status.ts";
import type { Identity } from "./authentication.ts";
import { isAllowed, rulesOf, withSubresource } from "./authorization.ts";

const reviewers = new Map<ResourceType, (identity: Identity, spec: unknown) => Fields>([
  [selfSubjectReviews, (identity) => ({ userInfo: userInfoOf(identity) })],
  [selfSubjectAccessReviews, (identity, spec) => ({ allowed: isAccessAllowed(identity, spec) })],
  [selfSubjectRulesReviews, (identity) => ({ ...rulesOf(identity), incomplete: false })],
]);

/** True for the types that are questions to the server, never stored. */
export function isReview(type: ResourceType): boolean {
  return reviewers.has(type);
}

/**
 * Answers the self-subject reviews behind `kubectl auth whoami` and `kubectl auth can-i`.
 * @throws StatusError BadRequest for a body that is no object
 */
export async function answerReview(request: ApiRequest, type: ResourceType): Promise<void> {
  const body = await readParsedBody(request.incoming, objectMediaTypes);
  const review = reviewers.get(type);
  if (!isFields(body) || !review) throw new StatusError("BadRequest", "the request body holds no review");
  sendJson(request.response, 201, {
    kind: type.kind,
    apiVersion: apiVersionOf(type),
    metadata: { creationTimestamp: null },
    ...(body.spec !== undefined && { spec: body.spec }),
    status: review(request.identity, body.spec),
  });
}

function userInfoOf({ username, uid, groups, extra }: Identity): Fields {
  return { username, ...(uid !== "" && { uid }), groups, ...(Object.keys(extra).length > 0 && { extra }) };
}

function isAccessAllowed(identity: Identity, spec: unknown): boolean {
  const onPath = fieldAt(spec, "nonResourceAttributes");
  if (isFields(onPath)) {
    return isAllowed(identity, { on: "path", verb: textAt(onPath, "verb"), path: textAt(onPath, "path") });
  }
  const wanted = fieldAt(spec, "resourceAttributes");
  return isAllowed(identity, {
    on: "resource",
    verb: textAt(wanted, "verb"),
    group: textAt(wanted, "group"),
    resource: withSubresource(textAt(wanted, "resource"), textAt(wanted, "subresource")),
  });
}
