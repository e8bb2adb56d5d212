import { ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { parsePorts, parseService } from "./forward-arguments.ts";

describe("a Service", () => {
  it.each([
    ["svc/web", undefined, "default", "web"],
    ["service/web", undefined, "default", "web"],
    ["services/web", undefined, "default", "web"],
    ["svc/web", "shop", "shop", "web"],
    ["svc/web.shop", undefined, "shop", "web"],
    ["svc/web.shop", "shop", "shop", "web"],
    ["svc/0-9", undefined, "default", "0-9"],
  ])("is read from %s with the namespace %s", (text, option, namespace, name) => {
    expect(parseService(text, option)).toEqual({ namespace, name });
  });

  it.each([
    ["a pod", "pod/web", undefined, /no Service; write svc\/NAME, and for a pod use kubectl port-forward/],
    ["a deployment", "deploy/web", undefined, /no Service/],
    ["a name alone, which kubectl takes for a pod", "web", undefined, /no Service/],
    ["no name", "svc/", undefined, /no Service/],
    ["nothing", "", undefined, /no Service/],
    ["a name in full", "svc/web.shop.svc.cluster.local", undefined, /write svc\/NAME or svc\/NAME.NAMESPACE/],
    ["an address", "svc/10.0.0.1", undefined, /write svc\/NAME/],
    ["a port", "svc/web:80", undefined, /write svc\/NAME/],
    ["an empty namespace", "svc/web.", undefined, /write svc\/NAME/],
    ["an empty name", "svc/.shop", undefined, /write svc\/NAME/],
    ["upper case", "svc/Web", undefined, /write svc\/NAME/],
    ["a path", "svc/../pods", undefined, /write svc\/NAME/],
    ["a namespace that is none", "svc/web", "Shop", /write svc\/NAME/],
    ["an empty option", "svc/web", "", /write svc\/NAME/],
    ["two namespaces", "svc/web.shop", "db", /is of the namespace shop, and --namespace is db/],
  ])("is not read from %s", (_what, text, option, says) => {
    const refusal = { code: ErrorCode.MALFORMED_REQUEST, message: expect.stringMatching(says) };
    expect(() => parseService(text, option)).toThrow(expect.objectContaining(refusal));
  });
});

describe("ports", () => {
  it.each([
    ["80", 80, 80],
    ["8080:80", 8080, 80],
    [":80", 0, 80],
    ["0:80", 0, 80],
    ["65535:65535", 65_535, 65_535],
  ])("are read from %s", (text, local, remote) => {
    expect(parsePorts(text)).toEqual({ local, remote });
  });

  it.each([
    "",
    ":",
    "0",
    "8080:",
    "8080:0",
    "65536",
    "70000:80",
    "http",
    "8080:http",
    "1:2:3",
    "-1",
    "+80",
    "8e1",
    " 80",
  ])("are not read from %j", (text) => {
    const refusal = { code: ErrorCode.MALFORMED_REQUEST, message: expect.stringMatching(/is no port; write PORT/) };
    expect(() => parsePorts(text)).toThrow(expect.objectContaining(refusal));
  });
});
