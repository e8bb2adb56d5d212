import { create, toBinary } from "@bufbuild/protobuf";
import type {
  Data,
  End,
  Header,
  HopTiming,
  RequestFrame,
  RequestHead,
  ResponseFrame,
  ResponseHead,
  Scope,
} from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { RequestFrameSchema, ResponseFrameSchema } from "./gen/fairlead/tunnel/v1alpha1/exchange_pb.ts";
import { MessageWriter } from "./message-writer.ts";

/*
 * The frames of every request, written without an object between: protobuf-es asks a descriptor at each field, which
 * costs five times as much. The generated schema stays the contract: encode-frame.test.ts holds each frame written
 * here against what protobuf-es writes, and against a field that is new in the schema.
 */

/** The binary form of a request frame. */
export function encodeRequestFrame(frame: RequestFrame["frame"]): Uint8Array {
  switch (frame.case) {
    case "head":
      return MessageWriter.write(0, (to) => to.message(1, () => writeRequestHead(to, frame.value)));
    case "data":
      return encodeBody(2, frame.value);
    case "end":
      return encodeBody(3, frame.value);
    case "whole":
      return encodeWhole(4, frame.value, writeRequestHead);
    case "credential":
    case undefined:
      return toBinary(RequestFrameSchema, create(RequestFrameSchema, { frame }));
  }
}

/** The binary form of a response frame. */
export function encodeResponseFrame(frame: ResponseFrame["frame"]): Uint8Array {
  switch (frame.case) {
    case "informational":
      return MessageWriter.write(0, (to) => to.message(2, () => writeResponseHead(to, frame.value)));
    case "head":
      return MessageWriter.write(0, (to) => to.message(3, () => writeResponseHead(to, frame.value)));
    case "data":
      return encodeBody(4, frame.value);
    case "end":
      return encodeBody(5, frame.value);
    case "whole":
      return encodeWhole(6, frame.value, writeResponseHead);
    case "ready":
    case "error":
    case undefined:
      return toBinary(ResponseFrameSchema, create(ResponseFrameSchema, { frame }));
  }
}

function encodeBody(field: number, frame: Data | End): Uint8Array {
  return MessageWriter.write(frame.data.length, (to) =>
    to.message(field, () => {
      if ("trailers" in frame) writeHeaders(to, 3, frame.trailers);
      to.bytes(2, frame.data);
      to.uint(1, Number(frame.offset)); // below 2^53: nobody sends more
    }),
  );
}

/** A head, a body and trailers have the same numbers in both directions. */
function encodeWhole<Head>(
  field: number,
  { head, body, trailers }: { head?: Head | undefined; body: Uint8Array; trailers: readonly Header[] },
  writeHead: (to: MessageWriter, head: Head) => void,
): Uint8Array {
  return MessageWriter.write(body.length, (to) =>
    to.message(field, () => {
      writeHeaders(to, 3, trailers);
      to.bytes(2, body);
      if (head !== undefined) to.message(1, () => writeHead(to, head));
    }),
  );
}

function writeRequestHead(to: MessageWriter, head: RequestHead): void {
  to.string(9, head.client);
  const { scope } = head;
  if (scope !== undefined) to.message(8, () => writeScope(to, scope));
  to.bool(7, head.wantsTimings);
  to.string(6, head.upgrade);
  writeHeaders(to, 5, head.headers);
  to.string(4, head.target);
  to.string(3, head.method);
  to.string(2, head.cluster);
  to.bytes(1, head.exchangeId);
}

function writeScope(to: MessageWriter, { readOnly, groups }: Scope): void {
  if (groups !== undefined) to.message(2, () => writeTexts(to, 1, groups.names));
  to.bool(1, readOnly);
}

/** Repeated texts: an empty one is written too, unlike a single one. */
function writeTexts(to: MessageWriter, field: number, texts: readonly string[]): void {
  for (let i = texts.length - 1; i >= 0; i--) {
    const text = texts[i] as string;
    if (text === "") to.message(field, () => {});
    else to.string(field, text);
  }
}

function writeResponseHead(to: MessageWriter, head: ResponseHead): void {
  for (let i = head.timings.length - 1; i >= 0; i--) {
    const timing = head.timings[i] as HopTiming;
    to.message(6, () => {
      to.uint(2, timing.durationUs);
      to.uint(1, timing.hop >>> 0); // a peer's may be one that is not known, below zero too: 32 bits are read as such
    });
  }
  to.string(5, head.upgrade);
  writeHeaders(to, 4, head.headers);
  to.string(3, head.reason);
  to.uint(2, head.status);
  to.bytes(1, head.exchangeId);
}

function writeHeaders(to: MessageWriter, field: number, headers: readonly Header[]): void {
  for (let i = headers.length - 1; i >= 0; i--) {
    const { name, value } = headers[i] as Header;
    const end = to.position;
    to.bytes(2, value);
    to.string(1, name);
    to.close(field, end);
  }
}
