import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority } from "@fairlead/certificates";
import { Hop } from "@fairlead/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { parse, stringify } from "yaml";
import { IssuerFixture, signingKey } from "./issuer-fixture.ts";
import { openVerifier } from "./open-verifier.ts";

let authority: CertificateAuthority;
let folder: string;
let file: string;
let issuer: IssuerFixture;
let other: IssuerFixture;
let told: string[];

beforeAll(async () => {
  authority = await CertificateAuthority.create("test issuers", 1);
  const tls = await authority.issue({ commonName: "issuer", hosts: ["127.0.0.1"], days: 1 });
  const start = async () => IssuerFixture.start(tls, authority.pem, [await signingKey("ES256", "key")]);
  [issuer, other] = await Promise.all([start(), start()]);
});
afterAll(() => Promise.all([issuer.close(), other.close()]));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  file = join(folder, "authentication.yaml");
  told = [];
});
afterEach(() => rm(folder, { recursive: true }));

/** A verifier by the file. It tells this test, and none that comes after. */
function open(intervalMs = 10) {
  const here = told;
  const log = {
    info: (fields: object, message: string) => void here.push(`info: ${message} ${JSON.stringify(fields)}`),
    error: (fields: object, message: string) => void here.push(`error: ${message}: ${Object(fields).err.message}`),
  };
  return openVerifier(file, Hop.IDENTITY_PROXY, log, intervalMs);
}

/** The file's text for issuers, each with its prefix for user names. */
function text(...issuers: [IssuerFixture, prefix: string][]): string {
  const jwt = issuers.map(([{ url }, prefix]) => ({
    issuer: { url, certificateAuthority: authority.pem, audiences: ["fairlead"] },
    claimMappings: { username: { claim: "sub", prefix } },
  }));
  return stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt });
}

/** The entry of the issuer, whose certificate is to be of another authority. */
function withAuthority(pem: string): object[] {
  const [entry] = parse(text([issuer, "a:"])).jwt;
  return [{ ...entry, issuer: { ...entry.issuer, certificateAuthority: pem } }];
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("a verifier by a file", () => {
  it("judges by it", async () => {
    await writeFile(file, text([issuer, "a:"]));
    expect(await (await open()).verify(await issuer.token())).toMatchObject({ user: "a:jane" });
  });

  it.each<[what: string, content: string | undefined, says: RegExp]>([
    ["that is not there", undefined, /authentication\.yaml: .*ENOENT/],
    ["that has a fault", text().replace("[]", "[{}]"), /authentication\.yaml: jwt\[0\]/],
  ])("does not start by one %s", async (_what, content, says) => {
    if (content !== undefined) await writeFile(file, content);
    await expect(open()).rejects.toThrow(says);
  });

  it("judges by what is in it now, tokens too that it judged before", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    const token = await issuer.token();
    await verifier.verify(token);
    await writeFile(file, text([issuer, "b:"], [other, "o:"]));
    await until(() => told.length > 0);
    expect(told).toEqual([expect.stringMatching(/^info: the authentication configuration has changed/)]);
    expect(verifier.known(token)).toBeUndefined();
    expect(await verifier.verify(token)).toMatchObject({ user: "b:jane" });
    expect(await verifier.verify(await other.token())).toMatchObject({ user: "o:jane" });
  });

  it("refuses the tokens of an issuer that is not in it any more, at once", async () => {
    await writeFile(file, text([issuer, ""], [other, ""]));
    const verifier = await open();
    const token = await issuer.token();
    await verifier.verify(token);
    await writeFile(file, text([other, ""]));
    await until(() => told.length > 0);
    await expect(verifier.verify(token)).rejects.toThrow(/issuer is not one that is configured/);
  });

  it("keeps the keys of issuers that stay: they are not asked again", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    await verifier.verify(await issuer.token());
    const asked = issuer.asked.length;
    await writeFile(file, text([issuer, "b:"]));
    await until(() => told.length > 0);
    expect(await verifier.verify(await issuer.token())).toMatchObject({ user: "b:jane" });
    expect(issuer.asked).toHaveLength(asked);
  });

  it("goes on by what was in it when it has a fault, says so once, and takes the next that has none", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    const token = await issuer.token();
    await writeFile(file, "jwt: [");
    await until(() => told.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(told).toEqual([expect.stringMatching(/^error: .*goes on to count: .*authentication\.yaml/s)]);
    expect(verifier.isOutdated).toBe(true);
    expect(await verifier.verify(token)).toMatchObject({ user: "a:jane" });
    await writeFile(file, text([issuer, "c:"]));
    await until(() => told.length > 1);
    expect(await verifier.verify(token)).toMatchObject({ user: "c:jane" });
    expect(verifier.isOutdated).toBe(false);
  });

  it.each<[what: string, change: (text: string) => string, says: RegExp]>([
    ["an authority that is none", (was) => was.replace(/-----END CERT[^-]*-----/, ""), /certificateAuthority: a cert/],
    ["an expression that is none", (was) => was.replace(/claim: sub\n *prefix: .*/, "expression: claims."), /Expected/],
    ["the same issuer twice", (was) => `${was}${was.slice(was.indexOf("jwt:") + 5)}`, /is there twice/],
    ["no issuer", (was) => was.slice(0, was.indexOf("jwt:")), /jwt: a list is due/],
    ["nothing", () => "", /the file: a mapping is due/],
  ])("goes on by what was in it when there is then %s", async (_what, change, says) => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    await writeFile(file, change(text([issuer, "a:"])));
    await until(() => told.length > 0);
    expect(told).toEqual([expect.stringMatching(says)]);
    expect(await verifier.verify(await issuer.token())).toMatchObject({ user: "a:jane" });
  });

  it("sees what editors do: another file is put in its place", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    await writeFile(`${file}.new`, text([issuer, "b:"]));
    await rename(`${file}.new`, file);
    await until(() => told.length > 0);
    expect(await verifier.verify(await issuer.token())).toMatchObject({ user: "b:jane" });
  });

  it("tells no change when it was only written again", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    const token = await issuer.token();
    await verifier.verify(token);
    await writeFile(file, text([issuer, "a:"]));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(told).toEqual([]);
    expect(verifier.known(token)).toBeDefined();
  });

  it("asks a new authority's issuer for its keys anew, and does not go on by the old ones", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    await verifier.verify(await issuer.token());
    const stranger = await CertificateAuthority.create("stranger", 1);
    await writeFile(file, stringify({ ...parse(text([issuer, "a:"])), jwt: withAuthority(stranger.pem) }));
    await until(() => told.length > 0);
    await expect(verifier.verify(await issuer.token())).rejects.toThrow(/cannot be asked for its keys/);
  });

  it("goes on by what was in it when it is gone, and says so once", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    await rm(file);
    await until(() => told.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(told).toEqual([expect.stringMatching(/^error: .*ENOENT/)]);
    expect(await verifier.verify(await issuer.token())).toMatchObject({ user: "a:jane" });
  });

  it("sees what Kubernetes does to a ConfigMap's files: a link to a folder is put in another's place", async () => {
    for (const [version, prefix] of [["v1", "a:"] as const, ["v2", "b:"] as const]) {
      await mkdir(join(folder, version));
      await writeFile(join(folder, version, "authentication.yaml"), text([issuer, prefix]));
    }
    await symlink("v1", join(folder, "..data"));
    await symlink(join("..data", "authentication.yaml"), file);
    const verifier = await open();
    await symlink("v2", join(folder, "..data_tmp"));
    await rename(join(folder, "..data_tmp"), join(folder, "..data"));
    await until(() => told.length > 0);
    expect(await verifier.verify(await issuer.token())).toMatchObject({ user: "b:jane" });
  });

  it("waits for whoever is in the middle of writing it", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open(1_200); // longer than this process may stand still between two writes
    const whole = text([issuer, "b:"]);
    for (let length = 0; length < whole.length; length += 10) {
      await writeFile(file, whole.slice(0, length));
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    await writeFile(file, whole);
    await until(() => told.length > 0);
    expect(told).toEqual([expect.stringMatching(/^info: /)]);
    expect(await verifier.verify(await issuer.token())).toMatchObject({ user: "b:jane" });
  });

  it("keeps no judgement that was begun by what was in it before", async () => {
    await writeFile(file, text([issuer, "a:"]));
    const verifier = await open();
    const token = await issuer.token();
    const judged = verifier.verify(token);
    verifier.use([]);
    await judged;
    expect(verifier.known(token)).toBeUndefined();
  });
});
