import { type Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { errorMapping } from "./error-table.ts";
import { FairleadError } from "./errors.ts";
import { ErrorSchema, type Hop } from "./gen/fairlead/tunnel/v1alpha1/error_pb.ts";

/**
 * For who answers calls: our errors become gRPC's, with the Error message as detail.
 *
 * @param hop where what nobody foresaw has gone wrong
 */
export function tellErrors(hop: Hop): Interceptor {
  return translateErrors((error) => {
    if (error instanceof ConnectError) return error;
    const fault = FairleadError.from(error, hop);
    const code: Code = errorMapping(fault.code).grpc;
    return new ConnectError(fault.message, code, undefined, [{ desc: ErrorSchema, value: fault.toMessage() }], error);
  });
}

/**
 * For who makes calls: what was told with {@link tellErrors} becomes our error again.
 *
 * @param explain makes an error of what came without one: the other side is out of reach, say
 */
export function readErrors(explain: (fault: ConnectError) => FairleadError): Interceptor {
  return translateErrors((error) => {
    const fault = ConnectError.from(error);
    const [detail] = fault.findDetails(ErrorSchema);
    if (detail) return FairleadError.fromMessage(detail);
    return error instanceof FairleadError ? error : explain(fault);
  });
}

function translateErrors(translate: (error: unknown) => Error): Interceptor {
  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: translated(response.message, translate) } : response;
    } catch (error) {
      throw translate(error);
    }
  };
}

/** A stream's errors come when it is read. */
async function* translated<T>(messages: AsyncIterable<T>, translate: (error: unknown) => Error): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw translate(error);
  }
}
