import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { EnrolmentService, ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AgentFixture } from "./agent-fixture.ts";
import { issueRelayTls, RelayFixture, type RelayTls } from "./relay-fixture.ts";

const { getAgent } = EnrolmentService.method;
let tls: RelayTls;
let relay: RelayFixture;

beforeAll(async () => {
  tls = await issueRelayTls();
});

beforeEach(async () => {
  relay = await RelayFixture.start(tls);
});

afterEach(() => relay.close());

/** The first of the cluster's recent ends, when there is one. */
async function latestEnd() {
  for (;;) {
    const { cluster } = await relay.as("jane").clusters.getKubeconfig({ cluster: "prod" });
    const [end] = cluster?.recentEnds ?? [];
    if (end) return end;
  }
}

describe("a relay that is asked what it is", () => {
  it("says so to anybody, with its clock", async () => {
    const { version, time, oldestAgentVersion } = await relay.rpc(undefined).relay.getRelay({});
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(oldestAgentVersion).toBe("");
    expect(Math.abs(Number(time && timestampMs(time)) - Date.now())).toBeLessThan(5_000);
  });
});

describe("a relay that supports no old agents", () => {
  it("refuses one, and says so to it and to whoever asks for the cluster", async () => {
    relay.oldestVersions = { agent: "0.0.1" }; // a pre-release is older
    await relay.stop(0);
    await relay.startAgain();
    const identity = await relay.makeCluster("prod");
    const agent = await AgentFixture.open(relay.connect(), identity);
    agent.register();
    const sentence = /version "0.0.1-test" is older than 0.0.1, the oldest that this relay takes; update the agent/;
    await expect(agent.registered).rejects.toMatchObject({
      code: ErrorCode.VERSION_TOO_OLD,
      message: expect.stringMatching(sentence),
    });
    const { clusters } = await relay.as("jane").clusters.listClusters({});
    expect(clusters[0]?.stateReason).toMatch(sentence);
  });
});

describe("an agent that asks what the relay knows of it", () => {
  it("learns its cluster, its certificate's end and how many replicas are attached, and changes nothing", async () => {
    const identity = await relay.makeCluster("prod");
    await AgentFixture.attach(relay.connect(), identity);
    const { enrolment } = relay.rpc(await identity.prove(getAgent));
    const answer = await enrolment.getAgent({});
    expect(answer).toMatchObject({ cluster: "prod", replicas: 1, recentEnds: [] });
    expect(answer.expireTime && timestampMs(answer.expireTime)).toBe(identity.expiresAtMs);
    expect(relay.counts.agents).toBe(1);
  });

  it("is refused with the proof of another method, and when its cluster was removed", async () => {
    const identity = await relay.makeCluster("prod");
    const { enrolment: other } = relay.rpc(await identity.prove(EnrolmentService.method.renew));
    await expect(other.getAgent({})).rejects.toThrow("its aud is not what is due");
    await relay.as("root").clusters.deleteCluster({ name: "prod" });
    const { enrolment } = relay.rpc(await identity.prove(getAgent));
    await expect(enrolment.getAgent({})).rejects.toThrow("or the cluster was removed");
  });
});

describe("the ends of a cluster's attachments", () => {
  it("say of a connection that broke that it was lost, and how long it had lasted", async () => {
    const connection = relay.connect();
    const { agent } = await AgentFixture.attach(connection, await relay.makeCluster("prod"));
    await agent.registered;
    relay.hangUp();
    connection.close(); // cuts it within a second
    const { lost, lasted, reason } = await latestEnd();
    expect(lost).toBe(true);
    expect(reason).not.toBe("");
    expect(Number(lasted && durationMs(lasted))).toBeGreaterThanOrEqual(0);
  });

  it("do not call one lost that was ended in good order", async () => {
    const { agent } = await AgentFixture.attach(relay.connect(), await relay.makeCluster("prod"));
    agent.control.send({ frame: { case: "drain", value: {} } });
    agent.control.end();
    agent.control.reset(new FairleadError(ErrorCode.DRAINING, Hop.AGENT, "stopping"));
    expect((await latestEnd()).lost).toBe(false);
  });
});
