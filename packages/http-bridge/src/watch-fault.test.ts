import { ErrorCode, FairleadError, Hop, type RequestHead } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { WatchFault } from "./watch-fault.ts";

const JSON_TYPE = ["Content-Type", "application/json"];
const head = (target = "/api/v1/pods?watch=true", method = "GET") => ({ method, target, upgrade: "" }) as RequestHead;
const fault = (code: ErrorCode) => new FairleadError(code, Hop.RELAY, "your token expired");
const bytes = (text: string) => Buffer.from(text);

function started(): WatchFault {
  const watch = WatchFault.for(head(), 200, JSON_TYPE);
  if (watch === undefined) throw new Error("not followed");
  return watch;
}

describe("a watch whose access ends", () => {
  it.each([ErrorCode.TOKEN_REFUSED, ErrorCode.ACCESS_DENIED, ErrorCode.CLUSTER_UNKNOWN])(
    "says so by one event on a line of its own, by code %i",
    (code) => {
      const text = started().event(fault(code)) ?? "";
      expect(text).toMatch(/^[^\n]+\n$/);
      const message = "fairlead: relay: your token expired";
      expect(JSON.parse(text)).toMatchObject({ type: "ERROR", object: { kind: "Status", status: "Failure", message } });
    },
  );

  it.each([
    [["{}\n"], true],
    [["{", "}\n"], true],
    [["{}\n", ""], true],
    [["{}\n{"], false],
    [["{}\n", "{"], false],
    [["{}"], false],
  ])("says so only behind a whole event: after %j", (chunks, says) => {
    const watch = started();
    for (const chunk of chunks) watch.pass(bytes(chunk));
    expect(watch.event(fault(ErrorCode.TOKEN_REFUSED)) !== undefined).toBe(says);
  });

  it("is just cut by any other fault, so that a controller goes on from where it was", () => {
    const others = [ErrorCode.CONNECTION_LOST, ErrorCode.UNREACHABLE, ErrorCode.DRAINING, ErrorCode.INTERNAL];
    for (const code of others) expect(started().event(fault(code))).toBeUndefined();
  });

  it.each<[what: string, head: RequestHead, status: number, headers: string[], follows: boolean]>([
    ["a watch in JSON with a charset", head(), 200, ["content-type", "application/json;charset=utf-8"], true],
    ["a watch by path", head("/api/v1/watch/pods"), 200, JSON_TYPE, true],
    ["a watch in protobuf", head(), 200, ["Content-Type", "application/vnd.kubernetes.protobuf;stream=watch"], false],
    ["a watch in CBOR", head(), 200, ["Content-Type", "application/cbor-seq"], false],
    ["a watch that is compressed", head(), 200, [...JSON_TYPE, "Content-Encoding", "gzip"], false],
    ["a watch that was refused", head(), 403, JSON_TYPE, false],
    ["a watch of no type", head(), 200, [], false],
    ["a list", head("/api/v1/pods"), 200, JSON_TYPE, false],
    ["a list that says it does not watch", head("/api/v1/pods?watch=false"), 200, JSON_TYPE, false],
    ["logs", head("/api/v1/namespaces/ns/pods/p/log?follow=true&watch=true"), 200, JSON_TYPE, false],
    ["a delete", head("/api/v1/pods?watch=true", "DELETE"), 200, JSON_TYPE, false],
  ])("is told from %s", (_what, request, status, headers, follows) => {
    expect(WatchFault.for(request, status, headers) !== undefined).toBe(follows);
  });
});
