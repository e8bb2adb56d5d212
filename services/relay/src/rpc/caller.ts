import { type Code, ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import { bearerToken, type Subject } from "@fairlead/authentication";
import { ErrorSchema, errorMapping, FairleadError, Hop } from "@fairlead/protocol";
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

/** Turns our errors into gRPC's, with the Error message as detail. */
export const errorInterceptor: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: translated(response.message) } : response;
  } catch (error) {
    throw toConnectError(error);
  }
};

/** A stream's errors come when it is read. */
async function* translated<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error);
  }
}

function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const fault = FairleadError.from(error, Hop.RELAY);
  const code: Code = errorMapping(fault.code).grpc;
  return new ConnectError(fault.message, code, undefined, [{ desc: ErrorSchema, value: fault.toMessage() }], error);
}
