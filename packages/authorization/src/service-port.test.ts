import { describe, expect, it } from "@jest/globals";
import { inWords, isReadOnly } from "./read-only.ts";
import { isOwnTarget, parseServicePort, servicePortOf, servicePortText, serviceTarget } from "./service-port.ts";

const web = { namespace: "shop", name: "web", port: 80 };
const TARGET = "/apis/tunnel.fairlead.dev/v1alpha1/namespaces/shop/services/web:80/portforward";

describe("a Service's port", () => {
  it("is written as a target, and read from it", () => {
    expect(serviceTarget(web)).toBe(TARGET);
    expect(servicePortOf(TARGET)).toEqual(web);
  });

  it("is written as text, and read from it", () => {
    expect(servicePortText(web)).toBe("shop/web:80");
    expect(parseServicePort("shop/web:80")).toEqual(web);
  });

  it.each([
    ["the longest labels", `${"n".repeat(63)}/${"s".repeat(63)}:65535`],
    ["digits and dashes", "1-a/0-b:1"],
  ])("may have %s", (_what, text) => {
    const port = parseServicePort(text);
    expect(port && servicePortText(port)).toBe(text);
    expect(port && servicePortOf(serviceTarget(port))).toEqual(port);
  });

  const longLabel = "s".repeat(64);
  it.each([
    ["no port", "shop/web"],
    ["no namespace", "web:80"],
    ["an empty namespace", "/web:80"],
    ["an empty name", "shop/:80"],
    ["an empty port", "shop/web:"],
    ["the port 0", "shop/web:0"],
    ["a port that is too large", "shop/web:65536"],
    ["a port with a zero before it", "shop/web:080"],
    ["a port with a sign", "shop/web:+80"],
    ["a port by name", "shop/web:http"],
    ["several ports", "shop/web:80,443"],
    ["a range of ports", "shop/web:80-90"],
    ["every Service", "shop/*:80"],
    ["every namespace", "*/web:80"],
    ["every port", "shop/web:*"],
    ["a pattern", "shop/we?:80"],
    ["an IPv4 address", "shop/169.254.169.254:80"],
    ["an IPv6 address", "shop/[fe80::1]:80"],
    ["a host name", "shop/web.example.com:80"],
    ["a name with its namespace", "shop/web.other:80"],
    ["upper case", "shop/Web:80"],
    ["a dash at the beginning", "shop/-web:80"],
    ["a dash at the end", "shop/web-:80"],
    ["an underscore", "shop/web_a:80"],
    ["a label over 63 characters", `shop/${longLabel}:80`],
    ["a namespace over 63 characters", `${longLabel}/web:80`],
    ["a blank before it", " shop/web:80"],
    ["a line's end behind it", "shop/web:80\n"],
    ["a part more", "shop/web/x:80"],
    ["dots", "../web:80"],
    ["letters beyond ASCII", "shop/wéb:80"],
    ["digits beyond ASCII", "shop/web:８０"],
    ["nothing", ""],
  ])("is not read from what has %s, as text or in a target", (_what, text) => {
    expect(parseServicePort(text)).toBeUndefined();
    const [namespace = "", rest = ""] = text.split(/\/(.*)/s);
    const target = `/apis/tunnel.fairlead.dev/v1alpha1/namespaces/${namespace}/services/${rest}/portforward`;
    expect(servicePortOf(target)).toBeUndefined();
  });

  it.each([
    ["a query", `${TARGET}?port=22`],
    ["an empty query", `${TARGET}?`],
    ["a slash behind it", `${TARGET}/`],
    ["a part behind it", `${TARGET}/x`],
    ["another subresource", TARGET.replace("portforward", "proxy")],
    ["another resource", TARGET.replace("services", "pods")],
    ["another version", TARGET.replace("v1alpha1", "v1")],
    ["an encoded letter", TARGET.replace("web", "%77eb")],
    ["an encoded colon", TARGET.replace("web:", "web%3a")],
    ["an encoded slash", TARGET.replace("shop/", "shop%2f")],
    ["two slashes", TARGET.replace("/shop", "//shop")],
    ["dots", TARGET.replace("/shop", "/../shop")],
    ["another group", TARGET.replace("tunnel.", "")],
    ["a group cut by a query", TARGET.replace("tunnel.", "tunnel?")],
    ["a group cut by a slash", TARGET.replace("tunnel.", "tunnel/")],
  ])("is not read from a target with %s", (_what, target) => {
    expect(servicePortOf(target)).toBeUndefined();
  });
});

describe("a target that never goes on to the apiserver", () => {
  it.each([
    "/apis/tunnel.fairlead.dev",
    "/apis/tunnel.fairlead.dev/",
    "/apis/tunnel.fairlead.dev?x=1",
    "/apis/tunnel.fairlead.dev/v2/anything",
    `${TARGET}?x`,
    TARGET,
  ])("is %s", (target) => {
    expect(isOwnTarget(target)).toBe(true);
  });

  it.each([
    "/apis/tunnel.fairlead.development/v1",
    "/apis/fairlead.dev/v1",
    "/api/v1/namespaces/shop/services/web:80/proxy",
    "/",
  ])("is not %s", (target) => {
    expect(isOwnTarget(target)).toBe(false);
  });
});

describe("a request for a connection to a Service", () => {
  it.each([
    ["POST", "tcp.fairlead.dev"],
    ["POST", ""],
    ["GET", "tcp.fairlead.dev"],
    ["GET", ""],
    ["HEAD", ""],
  ])("is more than reading: %s with the upgrade %j", (method, upgrade) => {
    expect(isReadOnly({ method, target: TARGET, upgrade })).toBe(false);
  });

  it("is told in Kubernetes' own words", () => {
    const request = { method: "POST", target: TARGET, upgrade: "tcp.fairlead.dev" };
    expect(inWords(request)).toBe("create services.tunnel.fairlead.dev/portforward");
  });
});
