import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import { checkAskedCluster } from "./asked-cluster.ts";

const PEM = "-----BEGIN CERTIFICATE-----\n";
const CA = Buffer.from(PEM).toString("base64");
const relayCa = join(mkdtempSync(join(tmpdir(), "asked-cluster-")), "ca.crt");
writeFileSync(relayCa, PEM);

const RELAY = { relay: "https://relay.example.com:8443", relayCa: undefined, domain: undefined };
const AT_RELAY = "https://relay.example.com:8443/clusters/prod";
const asked = (cluster?: object) =>
  JSON.stringify({ apiVersion: "client.authentication.k8s.io/v1", spec: { cluster } });

describe("a client that says for which cluster it asks", () => {
  it.each<[what: string, cluster: object | undefined, destination: object]>([
    ["does not say", undefined, {}],
    ["says one at the relay", { server: AT_RELAY }, {}],
    ["says one under the relay's domain", { server: "https://prod.k8s.example.com" }, { domain: "k8s.example.com" }],
    ["has the relay's authority", { server: AT_RELAY, "certificate-authority-data": CA }, { relayCa }],
  ])("gets the token if it %s", (_, cluster, destination) => {
    expect(() => checkAskedCluster(asked(cluster), { ...RELAY, ...destination })).not.toThrow();
  });

  it.each<[what: string, cluster: object, destination: object]>([
    ["is another's", { server: "https://evil.example.com/clusters/prod" }, {}],
    ["is at another port", { server: "https://relay.example.com/clusters/prod" }, {}],
    ["is no path of a cluster", { server: "https://relay.example.com:8443/" }, {}],
    ["is not encrypted", { server: AT_RELAY.replace("https", "http") }, {}],
    ["is no address", { server: 7 }, {}],
    ["is below another name of the domain", { server: "https://a.b.k8s.example.com" }, { domain: "k8s.example.com" }],
    ["only ends like the domain", { server: "https://evilk8s.example.com" }, { domain: "k8s.example.com" }],
    ["is not verified", { server: AT_RELAY, "insecure-skip-tls-verify": true }, {}],
    ["is verified by another name", { server: AT_RELAY, "tls-server-name": "evil.example.com" }, {}],
    ["is verified by another authority", { server: AT_RELAY, "certificate-authority-data": CA }, {}],
    ["is verified by no authority of the relay's", { server: AT_RELAY }, { relayCa }],
  ])("gets none for a server that %s", (_, cluster, destination) => {
    const check = () => checkAskedCluster(asked(cluster), { ...RELAY, ...destination });
    expect(check).toThrow(expect.objectContaining({ code: ErrorCode.ACCESS_DENIED }));
  });
});
