import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ProofKey, provenCredential, TokenVerifier } from "@fairlead/authentication";
import { CertificateAuthority } from "@fairlead/certificates";
import {
  type Credential,
  CredentialSchema,
  ErrorCode,
  exchangeIdText,
  GrpcConnection,
  Hop,
  newExchangeId,
  sendCredential,
} from "@fairlead/protocol";
import type { Logger } from "@fairlead/service";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { Apiserver } from "./apiserver.ts";
import { ApiserverFixture, type KeyPair } from "./apiserver-fixture.ts";
import { Callers } from "./callers.ts";
import { CarryOn } from "./carry-on.ts";
import { ListedServices } from "./forward/listed-services.ts";
import { ServiceForwards } from "./forward/service-forwards.ts";
import { identityProxy } from "./identity-proxy.ts";
import { IssuerFixture } from "./issuer-fixture.ts";
import { LaneServer } from "./lane-server.ts";
import { type Answer, faultOf, headerLines, Requester } from "./requester-fixture.ts";
import { rightsTo } from "./rights-fixture.ts";

const WATCH = "/api/v1/pods?watch=true";
const EXEC = "/api/v1/namespaces/ns/pods/p/exec";

let authority: CertificateAuthority;
let tls: KeyPair;
let key: ProofKey;
let issuer: IssuerFixture;
let cluster: ApiserverFixture;
let apiserver: Apiserver;
let server: LaneServer;
let client: GrpcConnection;
let another: GrpcConnection;
let requester: Requester;
let folder: string;
let logged: Record<string, unknown>[];
let watched: Promise<ServerResponse>;

beforeAll(async () => {
  authority = await CertificateAuthority.create("test cluster", 1);
  tls = await authority.issue({ commonName: "server", hosts: ["127.0.0.1"], days: 1 });
  key = await newKey();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  issuer = await IssuerFixture.start(tls, authority.pem);
  cluster = await ApiserverFixture.start(tls, authority.pem);
  apiserver = new Apiserver({ kubeconfig: await cluster.kubeconfig({ token: "own-token" }), context: undefined });
  logged = [];
  const note = (fields: object, text: string) => void logged.push({ ...fields, text });
  const log = { debug: note, info: note, warn: note, error: note } as unknown as Logger;
  const configuration = issuer.configuration({ uid: { claim: "oid", prefix: "" } });
  const callers = new Callers(new TokenVerifier([configuration], Hop.IDENTITY_PROXY));
  const carryOn = new CarryOn(callers, log);
  const forwards = new ServiceForwards(new ListedServices(), apiserver);
  server = new LaneServer(
    { kind: "unix", path: join(folder, "s", "identity.sock") },
    {
      prepareFor: identityProxy({
        cluster: "prod",
        callers,
        apiserver,
        rights: rightsTo("uids"),
        log,
        carryOn,
        forwards,
      }),
      carryOn: (credential) => carryOn.judge(credential),
    },
  );
  const path = (await server.start()).slice("unix:".length);
  [client, another] = [new GrpcConnection(() => ({ path })), new GrpcConnection(() => ({ path }))];
  requester = await open(client);
  const answered = Promise.withResolvers<ServerResponse>();
  watched = answered.promise;
  cluster.answer = (_seen, response) => {
    response.writeHead(200).write("begun");
    answered.resolve(response);
  };
});

afterEach(async () => {
  client.close();
  another.close();
  await server.stop(0);
  (await apiserver.connection().catch(() => undefined))?.pool.retire();
  await Promise.all([issuer.close(), cluster.close()]);
  await rm(folder, { recursive: true });
});

async function newKey(): Promise<ProofKey> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return ProofKey.fromPem(privateKey.export({ type: "pkcs8", format: "pem" }).toString());
}

async function open(connection: GrpcConnection): Promise<Requester> {
  const opened = new Requester(connection);
  await opened.opened;
  return opened;
}

const JANE = { sub: "jane", oid: "u-1", groups: ["dev", "ops"] };
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;
const token = (exp: number, claims: Record<string, unknown> = {}) => issuer.token({ ...JANE, exp, ...claims });

interface Watch {
  exchangeId: Uint8Array;
  atMs: number;
  answer: Promise<Answer>;
}

/** Begins a watch with a token of Jane's that lasts so long. */
async function watch(seconds: number, headers = (text: string) => bearer(text), claims = {}): Promise<Watch> {
  const exchangeId = newExchangeId();
  const exp = inSeconds(seconds);
  const lines = headers(token(exp, claims));
  const answer = requester.exchange({ exchangeId, cluster: "prod", target: WATCH, headers: lines });
  answer.catch(() => {}); // where a test has seen enough of it
  await watched;
  return { exchangeId, atMs: exp * 1_000, answer };
}

const bearer = (text: string) => headerLines(["Authorization", `Bearer ${text}`]);

/** Sends a credential over a lane of its own. */
async function send(init: Partial<Credential>, over = client): Promise<void> {
  const { lane } = await open(over);
  await sendCredential(lane, create(CredentialSchema, { cluster: "prod", ...init } as object), Hop.IDENTITY_PROXY);
}

const EXPIRED = { code: ErrorCode.TOKEN_REFUSED, message: expect.stringMatching(/your token expired/) };
const UNKNOWN = { code: ErrorCode.ACCESS_DENIED, hop: Hop.IDENTITY_PROXY };

describe("a live exchange with a newer token of the same caller", () => {
  it("goes on, and ends with the newer one; what comes over another session counts as well", async () => {
    const { exchangeId, atMs, answer } = await watch(2);
    await send({ exchangeId, token: token(inSeconds(5)) }, another);
    const endsAtMs = inSeconds(5) * 1_000;
    const response = await watched;
    while (Date.now() < atMs + 1_500) await new Promise((resolve) => setTimeout(resolve, 50));
    response.write(", and on");
    const ended = await answer;
    expect(ended.body).toBe("begun, and on");
    expect(faultOf(ended)).toMatchObject(EXPIRED);
    expect(Date.now()).toBeGreaterThanOrEqual(endsAtMs - 1_000);
    expect(cluster.seen).toHaveLength(1);
  });

  it("goes on when it is an exec", async () => {
    cluster.upgraded = (socket) => {
      socket.on("error", () => {}); // cut
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    };
    const [exchangeId, exp] = [newExchangeId(), inSeconds(2)];
    requester.begin({ exchangeId, cluster: "prod", headers: bearer(token(exp)), upgrade: "websocket", target: EXEC });
    expect(await requester.headed).toBe(101);
    await send({ exchangeId, token: token(inSeconds(60)) });
    while (Date.now() < exp * 1_000 + 1_500) await new Promise((resolve) => setTimeout(resolve, 50));
    expect([requester.lane.inExchange, requester.lane.closed]).toEqual([true, false]);
  });

  it("is on record with its id, whose it is and until when; no token is", async () => {
    const { exchangeId } = await watch(60);
    const exp = inSeconds(120);
    const newer = token(exp);
    await send({ exchangeId, token: newer });
    await expect(send({ exchangeId, token: newer })).rejects.toMatchObject({ code: ErrorCode.TOKEN_REFUSED });
    const line = { auditID: exchangeIdText(exchangeId), cluster: "prod" };
    expect(logged.slice(-2)).toMatchObject([
      { ...line, user: "jane", until: new Date(exp * 1_000), text: "request carried on" },
      { ...line, refused: "TOKEN_REFUSED", text: "credential refused" },
    ]);
    for (const part of newer.split(".")) expect(JSON.stringify(logged)).not.toContain(part);
  });
});

describe("a live exchange", () => {
  it.each<[what: string, claims: Record<string, unknown>]>([
    ["another user", { sub: "joe" }],
    ["another uid of the same name", { oid: "u-2" }],
    ["a group less", { groups: ["dev"] }],
    ["a group more", { groups: ["dev", "ops", "quarantined"] }],
    ["no groups", { groups: [] }],
  ])("is not carried on by a token of %s", async (_what, claims) => {
    const { exchangeId } = await watch(60);
    await expect(send({ exchangeId, token: token(inSeconds(120), claims) })).rejects.toMatchObject(UNKNOWN);
  });

  it("ends with its own token after one was refused", async () => {
    const { exchangeId, atMs, answer } = await watch(2);
    await expect(send({ exchangeId, token: token(inSeconds(60), { groups: ["dev"] }) })).rejects.toMatchObject(UNKNOWN);
    expect(faultOf(await answer)).toMatchObject(EXPIRED);
    expect(Date.now() - atMs).toBeLessThan(2_000);
  });

  it.each<[what: string, made: () => string]>([
    ["that expires earlier", () => token(inSeconds(30))],
    ["that has expired", () => token(inSeconds(-60))],
    ["for another audience", () => token(inSeconds(120), { aud: "others" })],
    ["of an issuer that is not configured", () => token(inSeconds(120), { iss: "https://else.example.com" })],
    ["that was altered", () => `${token(inSeconds(120)).slice(0, -6)}AAAAAA`],
    ["that is none", () => "none"],
    ["that is empty", () => ""],
  ])("is not carried on by a token %s", async (_what, made) => {
    const { exchangeId } = await watch(60);
    const refused = { code: ErrorCode.TOKEN_REFUSED, hop: Hop.IDENTITY_PROXY };
    await expect(send({ exchangeId, token: made() })).rejects.toMatchObject(refused);
  });

  it("is not found under another cluster's name, nor by another id, and both read alike", async () => {
    const { exchangeId } = await watch(60);
    const newer = token(inSeconds(120));
    const fault = (init: Partial<Credential>) => send(init).catch(({ code, message }) => ({ code, message }));
    const refusals = await Promise.all([
      fault({ exchangeId, cluster: "stage", token: newer }),
      fault({ exchangeId: newExchangeId(), token: newer }),
      fault({ exchangeId, token: token(inSeconds(120), { sub: "joe" }) }),
    ]);
    expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1);
    expect(refusals[0]).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
  });

  it("is not found any more when it has ended", async () => {
    const { exchangeId, answer } = await watch(60);
    (await watched).end();
    await answer;
    await expect(send({ exchangeId, token: token(inSeconds(120)) })).rejects.toMatchObject(UNKNOWN);
  });

  it("is not found any more when its lane was cut", async () => {
    const { exchangeId } = await watch(60);
    const closed = once(await watched, "close");
    client.close();
    await closed;
    await expect(send({ exchangeId, token: token(inSeconds(120)) }, another)).rejects.toMatchObject(UNKNOWN);
  });
});

describe("a live exchange whose token is bound to a key", () => {
  const cnf = () => ({ cnf: { jkt: key.thumbprint } });
  const target = { cluster: "prod", method: "GET", target: WATCH };

  /** Begins a watch with a bound token, and gives a newer one. */
  async function boundWatch() {
    const exp = inSeconds(60);
    const first = token(exp, cnf());
    const proof = await key.prove({ ...target, token: first });
    const { exchangeId } = await watch(60, () => [...bearer(first), ...headerLines(["DPoP", proof])], cnf());
    return { exchangeId, cluster: "prod", token: token(inSeconds(120), cnf()) };
  }

  it("goes on by a newer token with a proof of the key for this exchange", async () => {
    const newer = await boundWatch();
    await send({ ...newer, proof: await key.prove(provenCredential(newer)) });
  });

  it.each<[what: string, prove: (newer: Awaited<ReturnType<typeof boundWatch>>) => Promise<string>, says: RegExp]>([
    ["no proof", async () => "", /no proof/],
    ["a proof of another key", async (newer) => (await newKey()).prove(provenCredential(newer)), /another key/],
    ["a request's proof", ({ token }) => key.prove({ ...target, token }), /another request/],
    [
      "the proof for another exchange",
      (newer) => key.prove(provenCredential({ ...newer, exchangeId: newExchangeId() })),
      /another request/,
    ],
    [
      "the proof for another cluster",
      (newer) => key.prove(provenCredential({ ...newer, cluster: "stage" })),
      /another request/,
    ],
    [
      "the proof for another token",
      (newer) => key.prove(provenCredential({ ...newer, token: "t" })),
      /another request/,
    ],
  ])("does not with %s", async (_what, prove, says) => {
    const newer = await boundWatch();
    const refused = { code: ErrorCode.TOKEN_REFUSED, message: expect.stringMatching(says) };
    await expect(send({ ...newer, proof: await prove(newer) })).rejects.toMatchObject(refused);
  });

  it("does not by a proof that was used before", async () => {
    const newer = await boundWatch();
    const proof = await key.prove(provenCredential(newer));
    await send({ ...newer, proof });
    await expect(send({ ...newer, proof })).rejects.toMatchObject({ message: expect.stringMatching(/used before/) });
  });

  it("does not by a token that is bound to no key, nor by one of another key", async () => {
    const newer = await boundWatch();
    await expect(send({ ...newer, token: token(inSeconds(120)) })).rejects.toMatchObject(UNKNOWN);
    const other = await newKey();
    const others = { ...newer, token: token(inSeconds(120), { cnf: { jkt: other.thumbprint } }) };
    await expect(send({ ...others, proof: await other.prove(provenCredential(others)) })).rejects.toMatchObject(
      UNKNOWN,
    );
  });
});
