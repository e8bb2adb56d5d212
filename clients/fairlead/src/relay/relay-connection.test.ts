import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { CertificateAuthority } from "@fairlead/certificates";
import { ErrorCode, ErrorSchema, FairleadError, Hop } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { RelayFixture } from "../relay-fixture.ts";
import { connectToRelay, relayUnreachable } from "./relay-connection.ts";

const CANARY = "canary-7f3a";
let folder: string;
let authority: CertificateAuthority;
let relay: RelayFixture;
let caFile: string;
let answer: (authorization: string | null) => { clusters: { name: string }[] };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  authority = await CertificateAuthority.create("test relays", 1);
  caFile = join(folder, "ca.crt");
  await writeFile(caFile, authority.pem);
  const tls = await authority.issue({ commonName: "relay", hosts: ["127.0.0.1"], days: 1 });
  relay = new RelayFixture(tls, {
    clusters: { listClusters: (_request, context) => answer(context.requestHeader.get("authorization")) },
  });
  await relay.start();
});

afterAll(async () => {
  await relay.stop();
  await rm(folder, { recursive: true });
});

/** The fault that a call ends with, as a command tells it: connect wraps what comes through it. */
async function faultOf(call: Promise<unknown>): Promise<FairleadError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) throw new Error("the call did not fail");
  return FairleadError.from(error, Hop.CLIENT_PROXY);
}

const connect = (ca: string | undefined = caFile, token = () => CANARY) => connectToRelay(relay.url.href, ca, token);

describe("a call to the relay", () => {
  it("carries the caller's token, read anew for each call", async () => {
    let calls = 0;
    const seen: (string | null)[] = [];
    answer = (authorization) => {
      seen.push(authorization);
      return { clusters: [{ name: "prod" }] };
    };
    const { clusters } = connect(caFile, () => `token-${++calls}`);
    expect((await clusters.listClusters({})).clusters).toMatchObject([{ name: "prod" }]);
    await clusters.listClusters({});
    expect(seen).toEqual(["Bearer token-1", "Bearer token-2"]);
  });

  it("fails with what the relay says, code and hop and sentence", async () => {
    const said = new FairleadError(ErrorCode.ACCESS_DENIED, Hop.RELAY, "jane is not an administrator of this relay");
    answer = () => {
      throw new ConnectError("denied", Code.PermissionDenied, undefined, [
        { desc: ErrorSchema, value: said.toMessage() },
      ]);
    };
    expect(await faultOf(connect().clusters.listClusters({}))).toMatchObject({
      code: ErrorCode.ACCESS_DENIED,
      hop: Hop.RELAY,
      message: "jane is not an administrator of this relay",
    });
  });

  it("fails with INTERNAL at the relay when that says nothing that we know", async () => {
    answer = () => {
      throw new ConnectError("no idea", Code.DataLoss);
    };
    expect(await faultOf(connect().clusters.listClusters({}))).toMatchObject({
      code: ErrorCode.INTERNAL,
      hop: Hop.RELAY,
    });
  });

  it("fails with what the token source says, before anything is sent", async () => {
    let asked = 0;
    answer = () => {
      asked++;
      return { clusters: [] };
    };
    const { clusters } = connect(caFile, () => {
      throw new FairleadError(ErrorCode.TOKEN_REFUSED, Hop.CLIENT_PROXY, "the token file x cannot be read");
    });
    expect(await faultOf(clusters.listClusters({}))).toMatchObject({
      code: ErrorCode.TOKEN_REFUSED,
      hop: Hop.CLIENT_PROXY,
    });
    expect(asked).toBe(0);
  });

  it("fails with UNREACHABLE and the remedy when the relay's certificate is of another authority", async () => {
    const strangers = join(folder, "stranger.crt");
    await writeFile(strangers, (await CertificateAuthority.create("test relays", 1)).pem);
    for (const ca of [strangers, ""]) {
      const { clusters } = connectToRelay(relay.url.href, ca || undefined, () => CANARY);
      const fault = await faultOf(clusters.listClusters({}));
      expect(fault).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.RELAY });
      expect(fault.message).toMatch(/certificate cannot be verified .*--relay-ca FILE/);
    }
  });

  it("fails with UNREACHABLE when its certificate is for another host", async () => {
    const { clusters } = connectToRelay(`https://localhost:${relay.port}`, caFile, () => CANARY);
    expect(await faultOf(clusters.listClusters({}))).toMatchObject({ code: ErrorCode.UNREACHABLE });
  });

  it("fails with UNREACHABLE and the remedy when nobody listens", async () => {
    const { clusters } = connectToRelay("https://127.0.0.1:1", caFile, () => CANARY);
    const fault = await faultOf(clusters.listClusters({}));
    expect(fault).toMatchObject({ code: ErrorCode.UNREACHABLE, hop: Hop.RELAY });
    expect(fault.message).toMatch(/https:\/\/127.0.0.1:1 cannot be reached: .*check the address, your network/);
    expect(fault.message).not.toContain(CANARY);
  });
});

describe("what cannot be connected to", () => {
  const misuse = expect.objectContaining({ code: ErrorCode.MALFORMED_REQUEST, hop: Hop.CLIENT_PROXY });

  it.each(["", "relay.example.com", "http://relay.example.com", "relay.example.com:443", "ftp://x", "https://"])(
    "is the address %j",
    (address) => {
      const connecting = () => connectToRelay(address, undefined, () => CANARY);
      expect(connecting).toThrow(misuse);
      expect(connecting).toThrow(/give https:\/\/HOST:PORT/);
    },
  );

  it("is a relay whose authority cannot be read: verification is not turned off for that", () => {
    const connecting = () => connectToRelay("https://relay.example.com", join(folder, "missing.crt"), () => CANARY);
    expect(connecting).toThrow(misuse);
    expect(connecting).toThrow(/missing\.crt cannot be read/);
  });
});

it.each([
  ["self-signed certificate in certificate chain", true],
  ["unable to verify the first certificate", true],
  ["unable to get local issuer certificate", true],
  ["certificate has expired", true],
  ["ECONNREFUSED 127.0.0.1:1", false],
  ["no answer in time", false],
])("%j is told with the remedy for it", (reason, isCertificate) => {
  const { message } = relayUnreachable(new URL("https://relay.example.com"), reason);
  expect(message).toContain(reason);
  expect(/--relay-ca/.test(message)).toBe(isCertificate);
});
