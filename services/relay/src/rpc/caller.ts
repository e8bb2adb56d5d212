import { createContextKey, type Interceptor } from "@connectrpc/connect";
import { bearerToken, type Subject } from "@fairlead/authentication";
import type { Admission } from "../access/admission.ts";

/** Who makes the call. Set by {@link callerInterceptor} before a handler runs. */
export const CALLER = createContextKey<Subject | undefined>(undefined);

/** Authenticates each call by its bearer token. */
export function callerInterceptor(admission: Admission): Interceptor {
  return (next) => async (request) => {
    const token = bearerToken(request.header.get("authorization") ?? undefined);
    request.contextValues.set(CALLER, await admission.authenticate(token));
    return next(request);
  };
}
