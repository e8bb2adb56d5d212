import { ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { DirectAddresses } from "./direct-address.ts";

const byPath = new DirectAddresses({ enabled: true, domain: undefined, port: undefined });
const byName = new DirectAddresses({ enabled: true, domain: "clusters.example.com", port: 8443 });
const off = new DirectAddresses({ enabled: false, domain: "clusters.example.com", port: undefined });
const named = { host: "prod.clusters.example.com", target: "/api" };
const pathed = { host: "relay.example.com", target: "/clusters/prod/api" };

describe("where clusters can be reached without a client proxy", () => {
  it("is a path at the relay, or a name in its domain, or nowhere", () => {
    expect(byPath.of("prod")).toBe("/clusters/prod");
    expect(byName.of("prod")).toBe("https://prod.clusters.example.com:8443");
    expect(off.of("prod")).toBe("");
  });

  it("the path is served where there is a domain too, and nothing where it is switched off", () => {
    expect([byPath, byName, off].map((addresses) => addresses.covers(pathed))).toEqual([true, true, false]);
    expect([byPath, byName, off].map((addresses) => addresses.covers(named))).toEqual([false, true, false]);
  });

  it.each([pathed, named])("%j is read as a request to prod", (request) => {
    expect(byName.read(request)).toEqual({ cluster: "prod", target: "/api" });
  });

  it("an RPC's path, or its like, is nobody's cluster", () => {
    for (const target of ["/fairlead.tunnel.v1alpha1.AccessService/Exchange", "/healthz", "/", "", "/clusters"]) {
      expect(byPath.covers({ host: "relay.example.com", target })).toBe(false);
    }
  });

  it.each(["..", "%2e%2e", ".%2E", "a%2f..", "..%5ca", "a/../b", "./a", "%2e/a", "a\\..\\b"])(
    "a path with %s in it is refused, by name as by path",
    (path) => {
      const requests = [
        { host: "relay", target: `/clusters/prod/${path}` },
        { host: named.host, target: `/${path}` },
      ];
      for (const request of requests) {
        expect(() => byName.read(request)).toThrow(expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST }));
      }
    },
  );

  it.each(["...", "a..b", "..a", ".well-known", "a%2fb", "x/%252e%252e/y", "x?y=/../z"])(
    "a path with %s in it is taken, as it is",
    (path) => {
      expect(byPath.read({ host: "relay", target: `/clusters/prod/${path}` }).target).toBe(`/${path}`);
    },
  );
});
