import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProofKey } from "@fairlead/authentication";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { decodeJwt, exportJWK, SignJWT } from "jose";
import { AuditLog } from "../support/audit-log.ts";
import { sendToIdentityProxy } from "../support/hostile-relay.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { rawRequest } from "../support/raw-request.ts";
import { setScene } from "../support/scene.ts";
import { SigningIssuer } from "../support/signing-issuer.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
const PODS = "/api/v1/namespaces/default/pods?limit=7";
let issuer: SigningIssuer;
let own: TunnelToTestbed;
let key: ProofKey;
let pem: string;
let token: string;

beforeAll(async () => {
  issuer = await SigningIssuer.start();
  const entries = [issuer.entry(["fairlead"])];
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  key = await ProofKey.fromPem(pem);
  token = await issuer.token({ cnf: { jkt: key.thumbprint } });
  const keyFile = join(cluster.testbed.dir, "proof-key.pem");
  await writeFile(keyFile, pem, { mode: 0o600 });
  own = await startTunnel(cluster.testbed, {
    moreIssuers: { relay: entries, identityProxy: entries },
    args: (process) => (process === "client proxy" ? ["--dpop-key", keyFile] : []),
  });
  await writeFile(own.tunnel.tokenFile(alice), token);
});
afterAll(async () => {
  await own.stop();
  issuer.stop();
});

/** Sends a request to the identity proxy, as a relay that has seen it would. */
function send(proof: string | undefined, target = PODS, method = "GET") {
  const headers: [string, string][] = [["Authorization", `Bearer ${token}`]];
  if (proof !== undefined) headers.push(["DPoP", proof]);
  return sendToIdentityProxy(own.tunnel.file("identity-proxy.sock"), target, headers, method);
}

const prove = (target = PODS, clusterName = own.tunnel.cluster) =>
  key.prove({ cluster: clusterName, method: "GET", target, token });
const REFUSED = (says: RegExp) => ({
  case: "error",
  value: { code: 3, hop: 4, message: expect.stringMatching(says) }, // TOKEN_REFUSED, IDENTITY_PROXY
});

describeWithNode.each(streamingKubectls(cluster))("a token that is bound to a key, with $name", ({ kubectl }) => {
  it("gets, watches and execs through the client proxy that has the key", async () => {
    const through = kubectl.against(own.tunnel.kubeconfig);
    expect(await through.run(["get", "pod", "p1", "-o", "name"])).toMatchObject({ code: 0, stdout: "pod/p1\n" });
    expect(await through.run(["exec", "p1", "--", "echo", "aye"])).toMatchObject({ code: 0, stdout: "aye\n" });
    const watch = through.start(["get", "pods", "-w", "-o", "name"]);
    await watch.waitForOutput(/pod\/p1/);
    await watch.stop();
  });
});

describe("a token that a real provider bound to a key", () => {
  it("is taken with the proofs of that key, and not without", async () => {
    const { issuer: provider } = own.tunnel;
    const jwk = await exportJWK(createPublicKey(pem));
    const proof = await new SignJWT({ htm: "POST", htu: provider.tokenEndpoint })
      .setProtectedHeader({ typ: "dpop+jwt", alg: "ES256", jwk })
      .setJti(randomUUID())
      .setIssuedAt()
      .sign(createPrivateKey(pem));
    const providersToken = await provider.tokenFor(alice, proof);
    expect(decodeJwt(providersToken).cnf).toEqual({ jkt: key.thumbprint });
    await writeFile(own.tunnel.tokenFile(alice), providersToken);
    expect((await rawRequest(own.tunnel.kubeconfig, "/api/v1/namespaces")).status).toBe(200);
    await writeFile(own.tunnel.tokenFile(alice), token);
    const alone = [["Authorization", `Bearer ${providersToken}`]] as const;
    const answer = await sendToIdentityProxy(own.tunnel.file("identity-proxy.sock"), "/api/v1/namespaces", alone);
    expect(answer).toMatchObject(REFUSED(/no proof of that key/));
  });
});

describe("a hostile relay that holds a bound token", () => {
  it("gets nothing by it alone", async () => {
    expect(await send(undefined)).toMatchObject(REFUSED(/no proof of that key/));
  });

  it("cannot replay a request that it carried", async () => {
    const proof = await prove();
    const first = await send(proof);
    expect(["whole", "head"]).toContain(first.case);
    expect(await send(proof)).toMatchObject(REFUSED(/used before/));
  });

  it("cannot turn a request that it holds back into another, and the apiserver sees none", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const proof = await prove();
    expect(await send(proof, PODS, "DELETE")).toMatchObject(REFUSED(/another request/));
    expect(await send(proof, "/api/v1/secrets")).toMatchObject(REFUSED(/another request/));
    expect(await send(proof, `${PODS}&watch=true`)).toMatchObject(REFUSED(/another request/));
    const seen = (await audit.read()).filter(({ user }) => user.username === own.account);
    expect(seen.filter(({ requestURI }) => /secrets|limit=7/.test(requestURI))).toEqual([]);
  });

  it("cannot use a proof that was meant for another cluster", async () => {
    expect(await send(await prove(PODS, "another-cluster"))).toMatchObject(REFUSED(/another request \(htu\)/));
  });
});
