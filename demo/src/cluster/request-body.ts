import type { IncomingMessage } from "node:http";
import { parse as parseYaml } from "yaml";
import { parseProtobuf, protobufMediaType } from "./protobuf-body.ts";
import { StatusError } from "./status.ts";

/** The real API server's limit on a request body. */
const maxBodyBytes = 3 * 1024 * 1024;

/** Media types of a whole object. */
export const objectMediaTypes: readonly string[] = ["application/json", "application/yaml", protobufMediaType];

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) throw tooLarge();
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The media type of the body, without parameters; clients that say nothing send JSON. */
export function bodyMediaType(request: IncomingMessage): string {
  const [mediaType = ""] = (request.headers["content-type"] ?? "").split(";");
  return mediaType.trim() || "application/json";
}

/**
 * Reads the body as JSON, YAML or protobuf, by its media type.
 * @param accepted media types this address reads
 * @returns the parsed body; undefined for an empty one
 * @throws StatusError UnsupportedMediaType, RequestEntityTooLarge, or BadRequest for text that does not parse
 */
export async function readParsedBody(request: IncomingMessage, accepted: readonly string[]): Promise<unknown> {
  const mediaType = bodyMediaType(request);
  if (!accepted.includes(mediaType)) {
    throw new StatusError(
      "UnsupportedMediaType",
      `the demo cluster reads ${accepted.join(", ")} here, not ${mediaType}`,
    );
  }
  const body = await readBody(request);
  if (body.length === 0) return undefined;
  try {
    return withoutPrototypeKeys(parseAs(mediaType, body));
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw new StatusError("BadRequest", `the request body is not valid ${mediaType}`);
  }
}

function parseAs(mediaType: string, body: Buffer): unknown {
  if (mediaType === protobufMediaType) return parseProtobuf(body);
  const text = body.toString("utf8");
  return mediaType.endsWith("yaml") ? parseYaml(text) : JSON.parse(text);
}

/** Objects are merged field by field later on; a field named `__proto__` would reach the prototype. */
function withoutPrototypeKeys(parsed: unknown): unknown {
  return JSON.parse(JSON.stringify(parsed), (key, value) => (key === "__proto__" ? undefined : value));
}

function tooLarge(): StatusError {
  return new StatusError("RequestEntityTooLarge", `Request entity too large: limit is ${maxBodyBytes}`);
}
