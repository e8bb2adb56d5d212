import {
  RequestFrameSchema,
  RequestHeadSchema,
  WholeRequestSchema,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";

const WHOLE_HEAD = WholeRequestSchema.field.head.number;
const WANTS_TIMINGS = RequestHeadSchema.field.wantsTimings.number;

/**
 * The field number of the one frame in a stream message, read without decoding it, so that a splice can pass the
 * bytes on as they came.
 *
 * @param message the binary form of a message whose only field is a oneof of messages (protobuf.dev, encoding)
 * @returns the field number; 0 if the bytes are not exactly one length-delimited field
 */
export function peekFrame(message: Uint8Array): number {
  const tag = readVarint(message, 0);
  if (tag === undefined || (tag.value & 7) !== 2) return 0;
  const length = readVarint(message, tag.next);
  if (length === undefined || length.next + length.value !== message.length) return 0;
  return tag.value >>> 3;
}

/**
 * Whether a request's head asks for timings, read without decoding it, so that a splice pays for timings only when
 * they are asked for.
 *
 * @param message a RequestFrame with `head` or `whole`
 */
export function requestWantsTimings(message: Uint8Array): boolean {
  const frame = findField(message, 0, message.length, peekFrame(message));
  if (frame === undefined) return false;
  const { whole } = RequestFrameSchema.field;
  const head = peekFrame(message) === whole.number ? findField(message, frame.at, frame.end, WHOLE_HEAD) : frame;
  const wants = head && findField(message, head.at, head.end, WANTS_TIMINGS);
  return wants !== undefined && message[wants.at] === 1;
}

/** Finds a field in the protobuf message that lies between two offsets. A varint's range is the varint itself. */
function findField(
  bytes: Uint8Array,
  from: number,
  end: number,
  field: number,
): { at: number; end: number } | undefined {
  for (let at = from; at < end; ) {
    const tag = readVarint(bytes, at);
    const value = tag && readVarint(bytes, tag.next);
    if (tag === undefined || value === undefined || (tag.value & 5) !== 0) return undefined;
    const isVarint = (tag.value & 7) === 0;
    const range = isVarint ? { at: tag.next, end: value.next } : { at: value.next, end: value.next + value.value };
    if (tag.value >>> 3 === field) return range;
    at = range.end;
  }
  return undefined;
}

function readVarint(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = bytes[at++];
    if (byte === undefined) return undefined;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return { value, next: at };
  }
  return undefined;
}
