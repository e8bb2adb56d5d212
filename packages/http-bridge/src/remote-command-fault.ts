import type { FairleadError, RequestHead, ResponseHead } from "@fairlead/protocol";
import { remoteCommandFrames } from "./frame-formats.ts";
import { SpdyFault } from "./spdy-fault.ts";
import { WebSocketFault } from "./websocket-fault.ts";

/** Follows an exec's or attach's frames on their way to the client, to tell a fault there as the command's result. */
export interface RemoteCommandFault {
  /** Takes in bytes from the cluster. @returns those that may go on now: no incomplete frame, unless 256 KiB of it are there */
  pass(bytes: Uint8Array): Buffer;
  /** @returns the frames that tell the fault; undefined if it cannot be told, or the command's result has come */
  unfinished(error: FairleadError): Buffer | undefined;
}

/** @param answer a 101. @returns undefined for what has no such result: a port-forward, say */
export function remoteCommandFault(request: RequestHead, answer: ResponseHead): RemoteCommandFault | undefined {
  switch (remoteCommandFrames(request, answer)) {
    case "spdy":
      return new SpdyFault();
    case "websocket":
      return new WebSocketFault();
    case undefined:
      return undefined;
  }
}
