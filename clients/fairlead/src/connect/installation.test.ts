import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { KubernetesObject } from "@kubernetes/client-node";
import { stringify } from "yaml";
import { type AuthenticationFile, readAuthentication } from "../commands/authentication-file.ts";
import {
  type Installation,
  installationObjects,
  installedObjects,
  joinSecret,
  namespaceObject,
} from "./installation.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

const jwt = {
  issuer: { url: "https://login.example.com", audiences: ["fairlead"] },
  claimMappings: { username: { claim: "email", prefix: "" } },
};
/** What `--authentication` names. */
async function authentication(claimMappings: object = {}): Promise<AuthenticationFile> {
  const file = join(folder, "auth.yaml");
  const entry = { ...jwt, claimMappings: { ...jwt.claimMappings, ...claimMappings } };
  const configuration = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt: [entry] };
  await writeFile(file, stringify(configuration));
  return readAuthentication(file);
}
const PROD: Omit<Installation, "authentication"> = {
  cluster: "prod-eu1",
  namespace: "tunnel",
  relayUrl: "https://relay.example.com:8443",
  relayAuthority: "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n",
  image: { repository: "registry.example.com/fairlead", tag: "1.2.3", pullPolicy: "Always" },
};

const objectsOf = async (changes: Partial<Installation> = {}) =>
  installationObjects({ ...PROD, authentication: await authentication(), ...changes });
const idOf = ({ kind, metadata }: KubernetesObject) => `${kind}/${metadata?.name}`;
const find = (objects: readonly KubernetesObject[], id: string) => Object(objects.find((each) => idOf(each) === id));

describe("what connects a cluster", () => {
  it("has every value in its place, and no placeholder left", async () => {
    const objects = await objectsOf();
    expect(JSON.stringify(objects)).not.toMatch(/placeholder/);
    const [agent] = find(objects, "Deployment/fairlead-agent").spec.template.spec.containers;
    expect(agent).toMatchObject({ image: "registry.example.com/fairlead/agent:1.2.3", imagePullPolicy: "Always" });
    expect(agent.env).toContainEqual({ name: "FAIRLEAD_RELAY", value: PROD.relayUrl });
    const [identityProxy] = find(objects, "Deployment/fairlead-identity-proxy").spec.template.spec.containers;
    expect(identityProxy.args).toContain("--cluster=prod-eu1");
    expect(find(objects, "ConfigMap/fairlead-agent").data["ca.crt"]).toBe(PROD.relayAuthority);
    expect(find(objects, "ConfigMap/fairlead-identity-proxy").data["authentication.yaml"]).toBe(
      (await authentication()).text,
    );
    const namespaces = new Set(objects.flatMap(({ metadata }) => metadata?.namespace ?? []));
    expect([...namespaces]).toEqual(["tunnel"]);
  });

  it("comes in an order in which it can be made: namespace, accounts and secrets before pods", async () => {
    const kinds = (await objectsOf()).map(({ kind }) => kind ?? "");
    expect(kinds[0]).toBe("Namespace");
    for (const early of ["Secret", "ConfigMap", "ServiceAccount", "ClusterRoleBinding", "RoleBinding"]) {
      expect(kinds.lastIndexOf(early)).toBeLessThan(kinds.indexOf("Deployment"));
    }
  });

  it("trusts what the image trusts where the relay has a certificate of a known authority", async () => {
    const objects = await objectsOf({ relayAuthority: undefined });
    expect(objects.map(idOf)).not.toContain("ConfigMap/fairlead-agent");
    const pod = find(objects, "Deployment/fairlead-agent").spec.template.spec;
    expect(JSON.stringify(pod)).not.toMatch(/RELAY_CA|"relay"/);
  });

  it("gives the identity proxy the rights that its mappings need, and no more", async () => {
    const rulesOf = async (mappings: object) => {
      const objects = await objectsOf({ authentication: await authentication(mappings) });
      return JSON.stringify(objects.filter(({ kind }) => kind === "ClusterRole"));
    };
    expect(await rulesOf({})).not.toMatch(/uids/);
    expect(await rulesOf({ uid: { claim: "sub" } })).toMatch(/"uids"/);
  });

  it("has certificates for both ends of the link, of one authority, for the identity proxy's Service", async () => {
    const objects = await objectsOf();
    const [agent, identityProxy] = ["agent", "identity-proxy"].map(
      (part) => find(objects, `Secret/fairlead-${part}-link`).stringData,
    );
    expect(agent["ca.crt"]).toBe(identityProxy["ca.crt"]);
    const server = new X509Certificate(identityProxy["tls.crt"]);
    expect(server.verify(new X509Certificate(agent["ca.crt"]).publicKey)).toBe(true);
    expect(server.subjectAltName).toBe("DNS:fairlead-identity-proxy.tunnel.svc");
  });

  it("does not hold the join token, nor any other secret than the link's keys", async () => {
    const secrets = (await objectsOf()).filter(({ kind }) => kind === "Secret").map(idOf);
    const links = ["Secret/fairlead-agent-link", "Secret/fairlead-identity-proxy-link"];
    expect(secrets.sort()).toEqual([...links, "Secret/fairlead-agent-state"].sort());
  });

  it("is all removed by its names", async () => {
    const made = [joinSecret("tunnel", "flj_x"), ...(await objectsOf())].map(idOf);
    const removed = [...(await installedObjects("tunnel")), namespaceObject("tunnel")].map(idOf);
    expect(new Set(removed)).toEqual(new Set(made));
  });

  it("is refused with an authentication configuration that cannot be used", async () => {
    const file = join(folder, "pod.yaml");
    await writeFile(file, "kind: Pod");
    await expect(readAuthentication(file)).rejects.toThrow(/not an AuthenticationConfiguration/);
  });
});
