import { create } from "@bufbuild/protobuf";
import { RequestHeadSchema, ResponseHeadSchema } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { remoteCommandFault } from "./remote-command-fault.ts";
import { SpdyFault } from "./spdy-fault.ts";
import { WebSocketFault } from "./websocket-fault.ts";

const POD = "/api/v1/namespaces/n/pods/p";
const EXEC = `${POD}/exec?command=ls`;

describe("what follows a remote command's frames", () => {
  it.each([
    [EXEC, "SPDY/3.1", undefined, SpdyFault],
    [`${POD}/exec`, "spdy/3.1", undefined, SpdyFault],
    [`${POD}/attach?stdout=true`, "SPDY/3.1", "v4.channel.k8s.io", SpdyFault],
    [EXEC, "websocket", "v4.channel.k8s.io", WebSocketFault],
    [`${POD}/attach`, "WebSocket", "v5.channel.k8s.io", WebSocketFault],
    [EXEC, "websocket", "channel.k8s.io", undefined],
    [EXEC, "websocket", "v4.base64.channel.k8s.io", undefined],
    [EXEC, "websocket", undefined, undefined],
    [EXEC, "something-else", "v5.channel.k8s.io", undefined],
    [`${POD}/portforward`, "SPDY/3.1", undefined, undefined],
    [`${POD}/portforward`, "websocket", "SPDY/3.1+portforward.k8s.io", undefined],
    [`${POD}/portforward?ports=80`, "websocket", "v4.channel.k8s.io", undefined],
    ["/api/v1/namespaces/n/pods/exec-pod/log", "SPDY/3.1", undefined, undefined],
    [`${POD}/executor`, "SPDY/3.1", undefined, undefined],
    ["/api/v1/pods?x=/exec?", "SPDY/3.1", undefined, undefined],
    ["/api/v1/namespaces/n/services/s/proxy/", "websocket", "v5.channel.k8s.io", undefined],
    [EXEC, "websocket", "chat", undefined],
  ])("for %s by %s, %s", (target, upgrade, protocol, followed) => {
    const headers = protocol === undefined ? [] : [{ name: "Sec-Websocket-Protocol", value: Buffer.from(protocol) }];
    const answer = create(ResponseHeadSchema, { status: 101, upgrade, headers });
    expect(remoteCommandFault(create(RequestHeadSchema, { target }), answer)?.constructor).toBe(followed);
  });
});
