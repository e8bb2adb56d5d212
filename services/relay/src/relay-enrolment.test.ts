import { type Code, ConnectError } from "@connectrpc/connect";
import { AgentIdentity } from "@fairlead/agent-identity";
import { requestedKey } from "@fairlead/certificates";
import { EnrolmentService, ErrorCode, ErrorSchema, Hop, TunnelService } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture } from "./agent-fixture.ts";
import { ApiserverFixture } from "./enrolment/service-account-fixture.ts";
import { issueRelayTls, pemOf, RelayFixture, type RelayTls } from "./relay-fixture.ts";

const { attach } = TunnelService.method;
let tls: RelayTls;
let relay: RelayFixture;

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(async () => {
  relay = await RelayFixture.start(tls);
});

afterEach(() => relay.close());

/** Renews as an agent does, with a new key or the one given. */
async function renew(identity: AgentIdentity, requested = requestedKey(), method = EnrolmentService.method.renew) {
  const { key, request: certificateRequest } = await requested;
  const { enrolment } = relay.rpc(await identity.prove(method));
  const { certificate } = await enrolment.renew({ certificateRequest });
  return new AgentIdentity({ key, certificate: pemOf(certificate) });
}

async function faultOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw new Error("the call did not fail by gRPC", { cause: error });
  const [detail] = error.findDetails(ErrorSchema);
  return { grpc: error.code as Code, ...detail };
}

const refused = (says: RegExp) => ({
  code: ErrorCode.TOKEN_REFUSED,
  hop: Hop.RELAY,
  message: expect.stringMatching(says),
});

/** With what the relay ends an attachment that is refused. */
async function refusal(identity: AgentIdentity, clusterUid = "") {
  const agent = await AgentFixture.open(relay.connect(), identity);
  agent.register(clusterUid);
  await agent.registered.catch(() => {});
  return agent.ended.take();
}

describe("an agent that joins by a join token", () => {
  it("gets a certificate of at most 24 h for its own key and the token's cluster, and attaches by it", async () => {
    const identity = await relay.makeCluster("prod");
    expect(identity.cluster).toBe("prod");
    expect(identity.expiresAtMs - Date.now()).toBeLessThanOrEqual(86_400_000);
    const { agent } = await AgentFixture.attach(relay.connect(), identity);
    expect(await agent.registered).toMatchObject({ cluster: "prod" });
  });

  it("cannot do so twice, nor can anybody else", async () => {
    const { joinToken } = await relay.as("root").clusters.createCluster({ name: "prod" });
    await relay.join(joinToken?.token ?? "");
    expect(await faultOf(relay.join(joinToken?.token ?? ""))).toMatchObject(refused(/the join token does not count/));
  });

  it("ends the attachments of the agent before it", async () => {
    const before = await AgentFixture.attach(relay.connect(), await relay.makeCluster("prod"));
    const { joinToken } = await relay.as("root").clusters.createJoinToken({ cluster: "prod" });
    const identity = await relay.join(joinToken?.token ?? "");
    expect(await before.agent.ended.take()).toMatchObject(refused(/another agent has joined for it/));
    await AgentFixture.attach(relay.connect(), identity);
  });

  it.each<[what: string, request: (good: Uint8Array) => Uint8Array]>([
    ["none", () => new Uint8Array()],
    ["one that was changed", (good) => good.map((byte, i) => (i === good.length - 1 ? byte ^ 1 : byte))],
  ])("does not with a certificate request that is %s, and the token stays good", async (_what, request) => {
    const { joinToken } = await relay.as("root").clusters.createCluster({ name: "prod" });
    const credential = { case: "joinToken" as const, value: joinToken?.token ?? "" };
    const certificateRequest = request((await requestedKey()).request);
    const { enrolment } = relay.rpc(undefined);
    expect(await faultOf(enrolment.join({ credential, certificateRequest }))).toMatchObject({
      code: ErrorCode.MALFORMED_REQUEST,
      message: expect.stringMatching(/signed by a key on the curve P-256/),
    });
    await relay.join(credential.value);
  });

  it("does not without a token, nor with a uid that is none", async () => {
    const { request: certificateRequest } = await requestedKey();
    const { enrolment } = relay.rpc(undefined);
    const malformed = { code: ErrorCode.MALFORMED_REQUEST };
    expect(await faultOf(enrolment.join({ certificateRequest }))).toMatchObject(malformed);
    const credential = { case: "joinToken" as const, value: "x" };
    for (const clusterUid of ["a b", "a\n", "x".repeat(65)]) {
      expect(await faultOf(enrolment.join({ credential, certificateRequest, clusterUid }))).toMatchObject(malformed);
    }
  });
});

describe("a join token for a cluster that is there", () => {
  it("is given to no cluster that is not there", async () => {
    const call = relay.as("root").clusters.createJoinToken({ cluster: "none" });
    expect(await faultOf(call)).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
  });
});

describe("an agent that renews", () => {
  it("twenty times keeps its session and its exchanges", async () => {
    let identity = await relay.makeCluster("prod");
    const { agent } = await AgentFixture.attach(relay.connect(), identity);
    const serials = new Set<string>();
    for (let i = 0; i < 20; i++) {
      identity = await renew(identity);
      serials.add(await identity.prove(attach));
    }
    agent.control.send({ frame: { case: "heartbeat", value: {} } });
    expect((await agent.told.take()).case).toBe("heartbeat");
    expect(relay.counts.agents).toBe(1);
    await AgentFixture.attach(relay.connect(), identity);
  });

  it("cannot with the key of two renewals ago", async () => {
    const first = await relay.makeCluster("prod");
    const second = await renew(first);
    await renew(second);
    expect(await faultOf(renew(first))).toMatchObject(refused(/replaced by a newer one/));
    expect(await refusal(first)).toMatchObject(refused(/replaced by a newer one/));
  });

  it("gets the same again when the answer was lost", async () => {
    const first = await relay.makeCluster("prod");
    const next = await requestedKey();
    await renew(first, Promise.resolve(next));
    const again = await renew(first, Promise.resolve(next));
    await AgentFixture.attach(relay.connect(), again);
  });

  it("cannot by a proof for another method, nor by one that was used, nor by a user's token", async () => {
    const identity = await relay.makeCluster("prod");
    expect(await faultOf(renew(identity, requestedKey(), attach as never))).toMatchObject(refused(/its aud/));
    const { request: certificateRequest } = await requestedKey();
    const { enrolment } = relay.rpc(await identity.prove(EnrolmentService.method.renew));
    await enrolment.renew({ certificateRequest });
    expect(await faultOf(enrolment.renew({ certificateRequest }))).toMatchObject(refused(/used before/));
    for (const rpc of [relay.as("root"), relay.rpc(undefined)]) {
      expect(await faultOf(rpc.enrolment.renew({ certificateRequest }))).toMatchObject(refused(/the agent's proof/));
    }
  });

  it("cannot for a cluster that was removed, nor for another of the same name", async () => {
    const old = await relay.makeCluster("prod");
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    expect(await faultOf(renew(old))).toMatchObject(refused(/the cluster was removed/));
    await relay.as("root").clusters.createCluster({ name: "prod" });
    expect(await faultOf(renew(old))).toMatchObject(refused(/the cluster was removed/));
    expect(await refusal(old)).toMatchObject(refused(/the cluster was removed/));
  });
});

describe("an agent whose state is in two clusters", () => {
  it("is refused in the second, both are named, and the first is left alone", async () => {
    const { joinToken } = await relay.as("root").clusters.createCluster({ name: "prod" });
    const identity = await relay.join(joinToken?.token ?? "", "uid-of-one");
    const first = await AgentFixture.open(relay.connect(), identity);
    first.register("uid-of-one");
    await first.registered;
    expect(await refusal(identity, "uid-of-another")).toMatchObject(
      refused(/is in two clusters: it joined as prod .*uid-of-one, and this one's is uid-of-another/),
    );
    expect(relay.counts.agents).toBe(1);
    expect(relay.logged.join("\n")).toMatch(/an agent is refused.*uid-of-another/);
  });
});

describe("an agent's certificate", () => {
  it("that expires ends what is attached by it, and a join token brings the agent back", async () => {
    relay.certificateSeconds = 5;
    await relay.stop(0);
    await relay.startAgain();
    const identity = await relay.makeCluster("prod");
    const { agent } = await AgentFixture.attach(relay.connect(), identity);
    expect(await agent.ended.take()).toMatchObject(refused(/expired, and was not renewed; .*join-token prod/));
    expect(await refusal(identity)).toMatchObject(refused(/its certificate has expired, at 20/));
    expect(await faultOf(renew(identity))).toMatchObject(refused(/its certificate has expired/));
    const { joinToken } = await relay.as("root").clusters.createJoinToken({ cluster: "prod" });
    await AgentFixture.attach(relay.connect(), await relay.join(joinToken?.token ?? ""));
  }, 20_000);

  it("counts still when the relay starts again", async () => {
    const identity = await relay.makeCluster("prod");
    await relay.stop(0);
    await relay.startAgain();
    await AgentFixture.attach(relay.connect(), await renew(identity));
  });
});

describe("an agent that joins by its service account", () => {
  let apiserver: ApiserverFixture;
  beforeAll(async () => {
    apiserver = await ApiserverFixture.start();
  });

  /** As it comes by the wire. */
  const registration = (cluster = "prod") => ({
    ...apiserver.join(cluster),
    ...{ jwks: apiserver.jwks, certificateAuthority: "" },
  });
  const makeCluster = () =>
    relay.as("root").clusters.createCluster({ name: "prod", serviceAccountJoin: registration() });
  const joinBy = (token: string, clusterUid = "") => relay.join(token, clusterUid, "serviceAccountToken");

  it("needs no join token, attaches, and its key before is replaced when it joins again", async () => {
    const { cluster, joinToken } = await makeCluster();
    expect([cluster?.name, joinToken]).toEqual(["prod", undefined]);
    const token = await apiserver.token("prod");
    const before = await AgentFixture.attach(relay.connect(), await joinBy(token, "uid-1"));
    const identity = await joinBy(token, "uid-1");
    expect(await before.agent.ended.take()).toMatchObject(refused(/another agent has joined for it/));
    await AgentFixture.attach(relay.connect(), identity);
    expect(await faultOf(joinBy(token, "uid-2"))).toMatchObject(refused(/had the uid uid-1, and now has uid-2/));
    expect(relay.logged.join("\n")).not.toContain(token);
    expect(relay.logged.join("\n")).not.toContain(token.split(".")[2]);
  });

  it("comes back by itself when its certificate has expired", async () => {
    relay.certificateSeconds = 5;
    await relay.stop(0);
    await relay.startAgain();
    await makeCluster();
    const identity = await joinBy(await apiserver.token("prod"));
    const { agent } = await AgentFixture.attach(relay.connect(), identity);
    expect(await agent.ended.take()).toMatchObject(refused(/expired, and was not renewed/));
    await AgentFixture.attach(relay.connect(), await joinBy(await apiserver.token("prod")));
  }, 20_000);

  it("does so still when the relay starts again", async () => {
    await makeCluster();
    await relay.stop(0);
    await relay.startAgain();
    await AgentFixture.attach(relay.connect(), await joinBy(await apiserver.token("prod")));
  });

  it("may be let to later, and no more then, while what has joined stays", async () => {
    const token = await apiserver.token("prod");
    expect(await faultOf(joinBy(token))).toMatchObject(refused(/no cluster is registered here with its audience/));
    const { clusters } = relay.as("root");
    await clusters.createCluster({ name: "prod" });
    await clusters.setServiceAccountJoin({ cluster: "prod", serviceAccountJoin: registration() });
    const identity = await joinBy(token);
    await clusters.setServiceAccountJoin({ cluster: "prod" });
    expect(await faultOf(joinBy(token))).toMatchObject(refused(/no cluster is registered here with its audience/));
    await AgentFixture.attach(relay.connect(), identity);
  });

  it("cannot where the cluster was removed", async () => {
    await makeCluster();
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    expect(await faultOf(joinBy(await apiserver.token("prod")))).toMatchObject(refused(/no cluster is registered/));
  });

  it("is registered by administrators only, for clusters that are there, and not with another's audience", async () => {
    const serviceAccountJoin = registration();
    const jane = relay.as("jane").clusters;
    for (const call of [
      jane.createCluster({ name: "prod", serviceAccountJoin }),
      jane.setServiceAccountJoin({ cluster: "prod", serviceAccountJoin }),
    ]) {
      expect(await faultOf(call)).toMatchObject({ code: ErrorCode.ACCESS_DENIED });
    }
    const root = relay.as("root").clusters;
    const unknown = root.setServiceAccountJoin({ cluster: "none", serviceAccountJoin: registration("none") });
    expect(await faultOf(unknown)).toMatchObject({ code: ErrorCode.CLUSTER_UNKNOWN });
    const others = root.createCluster({ name: "prod", serviceAccountJoin: registration("stage") });
    expect(await faultOf(others)).toMatchObject({ code: ErrorCode.MALFORMED_REQUEST });
    expect((await root.listClusters({})).clusters).toEqual([]);
  });
});
