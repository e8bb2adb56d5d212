import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CertificateAuthority, type KeyPair } from "./certificate-authority.ts";

/** Every key and certificate of the test bed. */
export interface TestbedPki {
  readonly authority: CertificateAuthority;
  readonly apiserver: KeyPair;
  readonly kubelet: KeyPair;
  /** How the apiserver shows itself to the kubelet, which a real one asks the apiserver about: in system:masters. */
  readonly apiserverToKubelet: KeyPair;
  /** In system:masters: RBAC does not bind it, nor does priority and fairness. */
  readonly admin: KeyPair;
  readonly serviceAccountKeyFile: string;
  readonly serviceAccountPublicKeyFile: string;
}

/** By which names a test bed's servers are called. */
export interface ServerNames {
  readonly apiserver: readonly string[];
  readonly kubelet: readonly string[];
}

/** Loopback, and for the apiserver the address of the `kubernetes` Service. */
const onLoopback: ServerNames = {
  apiserver: ["127.0.0.1", "localhost", "kubernetes.default.svc", "10.96.0.1"],
  kubelet: ["127.0.0.1"],
};

export async function createPki(testbedDir: string, names: ServerNames = onLoopback): Promise<TestbedPki> {
  const dir = join(testbedDir, "pki");
  await mkdir(dir, { mode: 0o700 });
  const authority = await CertificateAuthority.create(dir);
  const [apiserver, kubelet, apiserverToKubelet, admin] = await Promise.all([
    authority.issueServer("apiserver", names.apiserver),
    authority.issueServer("kubelet", names.kubelet),
    authority.issueClient("apiserver-to-kubelet", { user: "kube-apiserver", groups: ["system:masters"] }),
    authority.issueClient("admin", { user: "admin", groups: ["system:masters"] }),
  ]);
  const serviceAccountKeys = await createServiceAccountKeys(dir);
  return { authority, apiserver, kubelet, apiserverToKubelet, admin, ...serviceAccountKeys };
}

/** RSA, as most clusters have: their tokens are RS256. */
async function createServiceAccountKeys(
  dir: string,
): Promise<Pick<TestbedPki, "serviceAccountKeyFile" | "serviceAccountPublicKeyFile">> {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const serviceAccountKeyFile = join(dir, "service-account.key");
  const serviceAccountPublicKeyFile = join(dir, "service-account.pub");
  await writeFile(serviceAccountKeyFile, privateKey, { mode: 0o600 });
  await writeFile(serviceAccountPublicKeyFile, publicKey);
  return { serviceAccountKeyFile, serviceAccountPublicKeyFile };
}
