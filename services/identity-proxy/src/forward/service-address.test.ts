import { ErrorCode, Hop } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { serviceAddress } from "./service-address.ts";

const asked = { namespace: "shop", name: "web", port: 80 };
const spec = { type: "ClusterIP", clusterIP: "10.96.0.7", selector: { app: "web" }, ports: [{ port: 80 }] };
const service = (changes: object = {}, more: object = {}) => ({
  ...{ kind: "Service", metadata: { namespace: "shop", name: "web" } },
  ...{ spec: { ...spec, ...changes }, ...more },
});

describe("a Service's address", () => {
  it.each([
    ["of a ClusterIP", {}, "10.96.0.7"],
    ["of a NodePort", { type: "NodePort" }, "10.96.0.7"],
    ["of a LoadBalancer, inside the cluster", { type: "LoadBalancer", externalIPs: ["192.0.2.1"] }, "10.96.0.7"],
    ["of IPv6", { clusterIP: "fd00:10:96::7" }, "fd00:10:96::7"],
    ["of several ports", { ports: [{ port: 443 }, { port: 80, protocol: "TCP", targetPort: 8080 }] }, "10.96.0.7"],
  ])("is the one that the cluster gave it: %s", (_what, changes, address) => {
    expect(serviceAddress(service(changes), asked)).toBe(address);
  });

  it.each([
    ["is an ExternalName", { type: "ExternalName", externalName: "metadata.example", clusterIP: "" }, /ExternalName/],
    ["is an ExternalName with an address", { type: "ExternalName" }, /ExternalName/],
    ["has a type not yet invented", { type: "Elsewhere" }, /Elsewhere/],
    ["has no type", { type: undefined }, /undefined/],
    ["has no selector", { selector: undefined }, /has no selector/],
    ["has an empty selector", { selector: {} }, /has no selector/],
  ])("is not given for one that %s, which may lead out of the cluster", (_what, changes, says) => {
    expect(() => serviceAddress(service(changes), asked)).toThrow(
      expect.objectContaining({
        ...{ code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY },
        message: expect.stringMatching(says),
      }),
    );
  });

  it.each([
    ["the metadata address", "169.254.169.254"],
    ["another of this link", "169.254.0.1"],
    ["loopback", "127.0.0.1"],
    ["another of loopback", "127.8.8.8"],
    ["nothing's address", "0.0.0.0"],
    ["this network's", "0.1.2.3"],
    ["a group's", "224.0.0.1"],
    ["a reserved one", "240.0.0.1"],
    ["everybody's", "255.255.255.255"],
    ["IPv6's loopback", "::1"],
    ["IPv6's nothing", "::"],
    ["IPv6's loopback in full", "0:0:0:0:0:0:0:1"],
    ["IPv6's link", "fe80::1"],
    ["the end of IPv6's link", "febf:ffff::1"],
    ["IPv6's groups", "ff02::1"],
    ["the metadata address in IPv6", "::ffff:169.254.169.254"],
    ["the metadata address in IPv6, in hexadecimal", "::ffff:a9fe:a9fe"],
    ["an address of the cluster's in IPv6", "::ffff:10.96.0.7"],
    ["the metadata address by NAT64", "64:ff9b::a9fe:a9fe"],
    ["a metadata address of IPv6's own", "fd00:ec2::254"],
    ["another metadata address of IPv6's own", "fd20:ce::254"],
  ])("is never %s", (_what, clusterIP) => {
    const refusal = { code: ErrorCode.ACCESS_DENIED, message: expect.stringContaining(`has the address ${clusterIP}`) };
    expect(() => serviceAddress(service({ clusterIP }), asked)).toThrow(expect.objectContaining(refusal));
  });

  it.each([
    ["headless", { clusterIP: "None" }, /headless/],
    ["without an address", { clusterIP: "" }, /no address yet/],
    ["with a host name for an address", { clusterIP: "localhost" }, /no address yet/],
    ["with an address that is no text", { clusterIP: 2130706433 }, /no address yet/],
    ["with an address in other notation", { clusterIP: "0x7f.1" }, /no address yet/],
    ["with a zone in its address", { clusterIP: ["10.96.0.7"] }, /no address yet/],
    ["without that port", { ports: [{ port: 443 }] }, /no such TCP port/],
    ["with that port as its pods' own", { ports: [{ port: 8080, targetPort: 80 }] }, /no such TCP port/],
    ["with that port as a node's", { ports: [{ port: 8080, nodePort: 80 }] }, /no such TCP port/],
    ["with that port as text", { ports: [{ port: "80" }] }, /no such TCP port/],
    ["with that port for UDP", { ports: [{ port: 80, protocol: "UDP" }] }, /no such TCP port/],
    ["with that port for SCTP", { ports: [{ port: 80, protocol: "SCTP" }] }, /no such TCP port/],
    ["without ports", { ports: undefined }, /no such TCP port/],
  ])("is not there for a Service %s", (_what, changes, says) => {
    const missing = { code: ErrorCode.UNREACHABLE, hop: Hop.SERVICE, message: expect.stringMatching(says) };
    expect(() => serviceAddress(service(changes), asked)).toThrow(expect.objectContaining(missing));
  });

  it.each([
    ["nothing", undefined],
    ["null", null],
    ["a text", "Service"],
    ["another kind", service({}, { kind: "Status" })],
    ["another name", service({}, { metadata: { namespace: "shop", name: "db" } })],
    ["another namespace", service({}, { metadata: { namespace: "other", name: "web" } })],
    ["no spec", service({}, { spec: undefined })],
  ])("is not read from %s", (_what, answer) => {
    expect(() => serviceAddress(answer, asked)).toThrow(/the Service shop\/web:80/);
  });
});
