import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { CertificateAuthority } from "@fairlead/certificates";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { parse, stringify } from "yaml";
import { RelayFixture } from "./relay-fixture.ts";

let relay: RelayFixture;
let file: string;
let before: string;

beforeAll(async () => {
  const authority = await CertificateAuthority.create("test relay", 1);
  const tls = await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 });
  relay = await RelayFixture.start({ ...tls, ca: authority.pem });
  file = join(relay.folder, "authentication.yaml");
  before = await readFile(file, "utf8");
});
beforeEach(() => writeFile(file, before));
afterAll(() => relay.close());

const isOutdated = () => relay.counts.outdated_authentication_configurations === 1;
const code = (token: string) =>
  relay
    .rpc(token)
    .clusters.listClusters({})
    .then(
      () => undefined,
      (error: { code: Code }) => error.code,
    );

async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await is())) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe("a relay whose authentication configuration is changed while it runs", () => {
  it("to one that cannot be used counts it, and lets the same people in, until it can be used again", async () => {
    const token = relay.token("root");
    expect(isOutdated()).toBe(false);
    await writeFile(file, "jwt: [");
    await until(isOutdated);
    expect(await code(token)).toBeUndefined();
    await writeFile(file, before);
    await until(() => !isOutdated());
    expect(await code(token)).toBeUndefined();
  });

  it("to other issuers refuses the tokens of the one that is gone, and takes them when it is back", async () => {
    const token = relay.token("root");
    expect(await code(token)).toBeUndefined();
    const changed = parse(before);
    changed.jwt[0].issuer.url = "https://other.example.com";
    await writeFile(file, stringify(changed));
    await until(async () => (await code(token)) === Code.Unauthenticated);
    await writeFile(file, before);
    await until(async () => (await code(token)) === undefined);
  });
});
