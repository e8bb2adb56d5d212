import { X509Certificate } from "node:crypto";
import { CertificateAuthority, requestedKey } from "@fairlead/certificates";
import { ErrorCode, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { openStore, type Store } from "../store/store.ts";
import { Agents } from "./agents.ts";
import { JOIN_TOKEN_MS, JoinTokens } from "./join-tokens.ts";
import { type RegisteredJoin, ServiceAccountJoins } from "./service-account-joins.ts";

const REFUSED = { code: ErrorCode.TOKEN_REFUSED, hop: Hop.RELAY };
let certificate: X509Certificate;
let store: Store;
let joinTokens: JoinTokens;
let serviceAccountJoins: ServiceAccountJoins;
let agents: Agents;

beforeAll(async () => {
  const authority = await CertificateAuthority.create("agents", 1);
  const { request } = await requestedKey();
  const says = { commonName: "prod", uri: "fairlead:cluster:prod", lifetimeMs: 3_600_000 };
  certificate = new X509Certificate(await authority.certify(request, says));
});

beforeEach(async () => {
  store = await openStore({ kind: "sqlite", file: ":memory:" });
  joinTokens = new JoinTokens(store);
  serviceAccountJoins = new ServiceAccountJoins(store);
  agents = await Agents.load(store, joinTokens, serviceAccountJoins);
  for (const name of ["prod", "stage"]) {
    const row = { name, labels: "{}", created_at_ms: 0, last_seen_at_ms: null };
    await store.insertInto("clusters").values(row).execute();
  }
});

afterEach(() => store.destroy());

const tokenFor = async (cluster: string) => (await joinTokens.create(cluster)).token;
const join = (joinToken: string, key: string, clusterUid = "") =>
  agents.join({ joinToken, key, clusterUid }, async () => certificate);
const proven = (key: string, cluster = "prod") => ({ cluster, key });
const inAnHour = () => Date.now() + 3_600_000;

/** An agent of prod that joined with the key 1. */
/** As the next relay has them. */
const reloaded = () => Agents.load(store, joinTokens, serviceAccountJoins);
const joined = async (clusterUid = "") => join(await tokenFor("prod"), "1", clusterUid);

describe("a join token", () => {
  it("says what it is, has 256 random bits, lasts 30 minutes, and is another each time", async () => {
    const tokens = [await joinTokens.create("prod"), await joinTokens.create("prod"), await joinTokens.create("stage")];
    for (const { token, expiresAtMs } of tokens) {
      expect(token).toMatch(/^flj_[A-Za-z0-9_-]{43}$/);
      expect(Math.abs(expiresAtMs - Date.now() - JOIN_TOKEN_MS)).toBeLessThan(5_000);
    }
    expect(JOIN_TOKEN_MS).toBe(1_800_000);
    expect(new Set(tokens.map(({ token }) => token)).size).toBe(3);
  });

  it("is nowhere in the database: a hash is", async () => {
    const token = await tokenFor("prod");
    const [row] = await store.selectFrom("join_tokens").selectAll().execute();
    expect(JSON.stringify(row)).not.toContain(token.slice(4));
    expect(row?.token_sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it("makes the holder of a key the agent of its own cluster", async () => {
    expect((await join(await tokenFor("stage"), "1")).cluster).toBe("stage");
    expect(agents.attach(proven("1", "stage"), "").expiresAtMs).toBe(certificate.validToDate.getTime());
    expect(() => agents.attach(proven("1", "prod"), "")).toThrow(expect.objectContaining(REFUSED));
  });

  it("counts once: of twenty agents that join by it at once, one does", async () => {
    const token = await tokenFor("prod");
    const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
    const outcomes = await Promise.allSettled(keys.map((key) => join(token, key)));
    const winners = keys.filter((_key, i) => outcomes[i]?.status === "fulfilled");
    expect(winners).toHaveLength(1);
    for (const outcome of outcomes) if (outcome.status === "rejected") expect(outcome.reason).toMatchObject(REFUSED);
    expect(agents.of("prod")?.key).toBe(winners[0]);
    expect(await store.selectFrom("agents").select("key").execute()).toEqual([{ key: winners[0] }]);
  });

  it("may be used again by the same key, whose answer was lost", async () => {
    const token = await tokenFor("prod");
    await join(token, "1");
    await expect(join(token, "1")).resolves.toMatchObject({ cluster: "prod" });
    await expect(join(token, "2")).rejects.toMatchObject(REFUSED);
  });

  it("is not used up by a certificate that could not be made", async () => {
    const token = await tokenFor("prod");
    const failing = agents.join({ joinToken: token, key: "1", clusterUid: "" }, () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(agents.of("prod")).toBeUndefined();
    await expect(join(token, "2")).resolves.toMatchObject({ cluster: "prod" });
  });

  it.each<[what: string, token: (good: string) => Promise<string>]>([
    ["that nobody made", async () => `flj_${"A".repeat(43)}`],
    ["that is empty", async () => ""],
    ["with a character less", async (good) => good.slice(0, -1)],
    ["with a blank more", async (good) => `${good} `],
    ["in another case", async (good) => good.toUpperCase()],
    [
      "that is the hash of one",
      async () => (await store.selectFrom("join_tokens").selectAll().execute())[0]?.token_sha256 ?? "",
    ],
    [
      "that a newer one has replaced",
      async (good) => {
        await joinTokens.create("prod");
        return good;
      },
    ],
    [
      "that is older than 30 minutes",
      async (good) => {
        await store
          .updateTable("join_tokens")
          .set({ expires_at_ms: Date.now() - 1 })
          .execute();
        return good;
      },
    ],
    [
      "of a cluster that was removed",
      async (good) => {
        await store.deleteFrom("clusters").where("name", "=", "prod").execute();
        return good;
      },
    ],
  ])("%s is refused, all alike and with what to do", async (_what, token) => {
    const tried = join(await token(await tokenFor("prod")), "1");
    await expect(tried).rejects.toMatchObject({
      ...REFUSED,
      message: expect.stringMatching(/used, is older than 30 minutes, or there is a newer one; .*join-token CLUSTER/),
    });
    expect(agents.of("prod")).toBeUndefined();
  });
});

describe("an agent that joins", () => {
  it("takes the place of the one before, whose key opens nothing any more", async () => {
    await joined();
    const before = agents.of("prod")?.joinId;
    await join(await tokenFor("prod"), "2");
    expect(agents.of("prod")?.joinId).not.toBe(before);
    expect(() => agents.attach(proven("1"), "")).toThrow(/replaced by a newer one/);
    await expect(agents.renew(proven("1"), "3", inAnHour())).rejects.toMatchObject(REFUSED);
  });

  it("is known when the relay starts again", async () => {
    await joined("uid-1");
    const again = await reloaded();
    expect(again.of("prod")).toEqual(agents.of("prod"));
  });

  it("has no key before any more at the next relay either, once it has used the present one", async () => {
    await joined("uid-1");
    await agents.renew(proven("1"), "2", inAnHour());
    expect((await reloaded()).of("prod")?.previousKey).toBe("1");
    agents.attach(proven("2"), "uid-1");
    while ((await reloaded()).of("prod")?.previousKey !== undefined);
  });

  it("is read anew at another relay, which keeps what it has just changed itself", async () => {
    const other = await reloaded();
    await joined("uid-1");
    await other.reload();
    expect(other.of("prod")?.key).toBe("1");
    const renewed = other.renew(proven("1"), "2", inAnHour());
    await Promise.all([other.reload(), renewed]);
    expect(other.of("prod")?.key).toBe("2");
    await store.deleteFrom("clusters").where("name", "=", "prod").execute();
    await other.reload();
    expect(other.of("prod")).toBeUndefined();
  });

  it("is known at another relay of the database, which asks there for a key that it does not know", async () => {
    const other = await reloaded();
    await joined("uid-1");
    await agents.renew(proven("1"), "2", inAnHour());
    await other.catchUp(proven("2"));
    expect(other.attach(proven("2"), "uid-1").key).toBe("2");
    await agents.renew(proven("2"), "3", inAnHour());
    await other.renew(proven("3"), "4", inAnHour());
    await agents.catchUp(proven("4"));
    expect(agents.attach(proven("4"), "uid-1").key).toBe("4");
  });

  it("is refused when its cluster was removed", async () => {
    await joined();
    await store.deleteFrom("clusters").where("name", "=", "prod").execute();
    agents.forget("prod");
    expect(() => agents.attach(proven("1"), "")).toThrow(/the cluster was removed; make a join token/);
    await expect(agents.renew(proven("1"), "2", inAnHour())).rejects.toMatchObject(REFUSED);
  });
});

describe("an agent's next key", () => {
  it("counts beside the one before until it is used, and alone from then on", async () => {
    await joined();
    await agents.renew(proven("1"), "2", inAnHour());
    agents.attach(proven("1"), ""); // it has not yet heard of its new certificate
    agents.attach(proven("2"), "");
    expect(() => agents.attach(proven("1"), "")).toThrow(/replaced by a newer one/);
  });

  it("keeps the joining, so that what is attached stays", async () => {
    await joined();
    const { joinId } = agents.attach(proven("1"), "");
    const expiresAtMs = inAnHour() + 1_000;
    await agents.renew(proven("1"), "2", expiresAtMs);
    expect(agents.of("prod")).toMatchObject({ joinId, expiresAtMs });
  });

  it("may be asked for again by the key before it, whose answer was lost", async () => {
    await joined();
    await agents.renew(proven("1"), "2", inAnHour());
    await agents.renew(proven("1"), "2", inAnHour());
    expect(agents.of("prod")).toMatchObject({ key: "2", previousKey: "1" });
  });

  it("is not given to a copy of the agent's state, by whichever of the two comes second", async () => {
    await joined();
    await agents.renew(proven("1"), "2", inAnHour());
    await expect(agents.renew(proven("1"), "copy", inAnHour())).rejects.toMatchObject({
      ...REFUSED,
      message: expect.stringMatching(/this one's state is an old copy/),
    });
    await agents.renew(proven("2"), "3", inAnHour());
    await expect(agents.renew(proven("1"), "2", inAnHour())).rejects.toMatchObject(REFUSED);
    expect(agents.of("prod")?.key).toBe("3");
  });

  it("is given to one of several that ask by the same key at once", async () => {
    await joined();
    const outcomes = await Promise.allSettled(
      ["a", "b", "c"].map((next) => agents.renew(proven("1"), next, inAnHour())),
    );
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const [row] = await store.selectFrom("agents").selectAll().execute();
    expect(row).toMatchObject({ key: agents.of("prod")?.key, previous_key: "1" });
  });
});

describe("an agent's state", () => {
  it("in another cluster than it joined in is noticed, and both are named", async () => {
    await joined("uid-1");
    expect(() => agents.attach(proven("1"), "uid-2")).toThrow(
      expect.objectContaining({ ...REFUSED, message: expect.stringMatching(/two clusters: .*prod.*uid-1.*uid-2/) }),
    );
    agents.attach(proven("1"), "uid-1");
  });

  it.each([
    ["", "uid-2"],
    ["uid-1", ""],
  ])("is taken where a uid is not known (%j, %j)", async (due, shown) => {
    await joined(due);
    expect(agents.attach(proven("1"), shown).key).toBe("1");
  });
});

describe("a service account's token", () => {
  const audience = "https://relay.example.com/clusters/prod";
  const registered = {
    ...{ serviceAccount: "a/b", issuer: "https://issuer.example.com", audience },
    ...{ jwks: undefined, certificateAuthority: undefined },
  };
  const register = async () => {
    await serviceAccountJoins.set("prod", registered);
    const join = await serviceAccountJoins.byAudience(audience);
    if (!join) throw new Error("it is not registered");
    return join;
  };
  const joinBy = (serviceAccountJoin: RegisteredJoin, key: string, clusterUid = "") =>
    agents.join({ serviceAccountJoin, key, clusterUid }, async () => certificate);

  it("makes the holder of a key the agent, as often as it has to, and the key before counts no more", async () => {
    const join = await register();
    for (const key of ["1", "2", "3"]) expect(await joinBy(join, key)).toMatchObject({ cluster: "prod" });
    expect(agents.attach(proven("3"), "").key).toBe("3");
    expect(() => agents.attach(proven("2"), "")).toThrow(expect.objectContaining(REFUSED));
  });

  it("by the same key again keeps what is attached: the answer was lost, or replicas joined at once", async () => {
    const join = await register();
    await joinBy(join, "1");
    const first = agents.of("prod")?.joinId;
    await joinBy(join, "1");
    expect(agents.of("prod")?.joinId).toBe(first);
    await joinBy(join, "2");
    expect(agents.of("prod")?.joinId).not.toBe(first);
  });

  it("is refused from a cluster whose uid is another, and the agent before goes on", async () => {
    const join = await register();
    await joinBy(join, "1", "uid-1");
    await expect(joinBy(join, "2", "uid-2")).rejects.toMatchObject({
      ...REFUSED,
      message: expect.stringMatching(
        /kube-system of the cluster prod had the uid uid-1, and now has uid-2; .*join-token prod/,
      ),
    });
    expect(agents.attach(proven("1"), "uid-1").key).toBe("1");
  });

  it("cannot make the uid forgotten by not saying it; a join token sets it anew", async () => {
    const join = await register();
    await joinBy(join, "1", "uid-1");
    await joinBy(join, "2");
    await expect(joinBy(join, "3", "uid-2")).rejects.toMatchObject(REFUSED);
    await agents.join({ joinToken: await tokenFor("prod"), key: "4", clusterUid: "uid-2" }, async () => certificate);
    await expect(joinBy(join, "5", "uid-2")).resolves.toMatchObject({ cluster: "prod" });
  });

  it.each<[what: string, change: () => Promise<unknown>]>([
    ["taken away", () => serviceAccountJoins.set("prod", undefined)],
    ["registered anew", () => serviceAccountJoins.set("prod", registered)],
    ["removed with its cluster", () => store.deleteFrom("clusters").where("name", "=", "prod").execute()],
  ])("is refused when what it was judged by was %s meanwhile", async (_what, change) => {
    const join = await register();
    await change();
    await expect(joinBy(join, "1")).rejects.toMatchObject({
      ...REFUSED,
      message: expect.stringMatching(/was changed or removed while it was judged/),
    });
    expect(await store.selectFrom("agents").selectAll().execute()).toEqual([]);
    expect(agents.of("prod")).toBeUndefined();
  });

  it("leaves one agent of twenty that join by it at once, and memory and database name the same", async () => {
    const join = await register();
    const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
    await Promise.all(keys.map((key) => joinBy(join, key, "uid-1")));
    const rows = await store.selectFrom("agents").select("key").execute();
    expect(rows).toEqual([{ key: agents.of("prod")?.key }]);
  });
});
