import type { ResourceType } from "./resource-types.ts";

/** The `reason` field of a Kubernetes Status: the stable code that clients branch on. */
export type StatusReason =
  | "Unauthorized"
  | "Forbidden"
  | "NotFound"
  | "AlreadyExists"
  | "Conflict"
  | "Expired"
  | "BadRequest"
  | "Invalid"
  | "MethodNotAllowed"
  | "NotAcceptable"
  | "UnsupportedMediaType"
  | "RequestEntityTooLarge"
  | "Timeout"
  | "InternalError";

const httpCodes: Record<StatusReason, number> = {
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  BadRequest: 400,
  Invalid: 422,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  UnsupportedMediaType: 415,
  RequestEntityTooLarge: 413,
  Timeout: 504,
  InternalError: 500,
};

/** A Kubernetes `Status` object as it travels. */
export interface Status {
  kind: "Status";
  apiVersion: "v1";
  metadata: Record<string, never>;
  status: "Success" | "Failure";
  message?: string;
  reason?: string;
  details?: Record<string, unknown>;
  code: number;
}

/** The only error type of the demo cluster: everything a client is told travels as a Status. */
export class StatusError extends Error {
  readonly reason: StatusReason;
  readonly details: Record<string, unknown> | undefined;

  constructor(reason: StatusReason, message: string, details?: Record<string, unknown>) {
    super(message);
    this.reason = reason;
    this.details = details;
  }

  /** Where foreign errors enter. Their text stays inside: it may name files of the user's machine. */
  static from(cause: unknown): StatusError {
    if (cause instanceof StatusError) return cause;
    return new StatusError("InternalError", "the demo cluster failed to answer; this is a bug in the demo");
  }

  get code(): number {
    return httpCodes[this.reason];
  }

  toStatus(): Status {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      reason: this.reason,
      ...(this.details && { details: this.details }),
      code: this.code,
    };
  }
}

/** `pods "x" not found`, worded as the real API server does because scripts match on it. */
export function notFound(type: ResourceType, name: string): StatusError {
  const details = { name, ...(type.group && { group: type.group }), kind: type.plural };
  return new StatusError("NotFound", `${qualified(type)} "${name}" not found`, details);
}

/** The create of a name that is taken. */
export function alreadyExists(type: ResourceType, name: string): StatusError {
  return new StatusError("AlreadyExists", `${qualified(type)} "${name}" already exists`, { name, kind: type.plural });
}

/** Optimistic concurrency lost: the caller's resourceVersion or uid is not the stored one. */
export function conflict(type: ResourceType, name: string, why: string): StatusError {
  const message = `Operation cannot be fulfilled on ${qualified(type)} "${name}": ${why}`;
  return new StatusError("Conflict", message, { name, kind: type.plural });
}

/** A field whose value the server refuses. */
export function invalid(type: ResourceType, name: string, field: string, why: string): StatusError {
  const causes = [{ reason: "FieldValueInvalid", message: why, field }];
  const details = { name, kind: type.kind, causes };
  return new StatusError("Invalid", `${type.kind} "${name}" is invalid: ${field}: ${why}`, details);
}

/** An address that no handler owns. */
export function unknownAddress(): StatusError {
  return new StatusError("NotFound", "the server could not find the requested resource");
}

function qualified(type: ResourceType): string {
  return type.group === "" ? type.plural : `${type.plural}.${type.group}`;
}
