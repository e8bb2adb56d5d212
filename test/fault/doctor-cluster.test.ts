import { readFile, rm, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parse, stringify } from "yaml";
import { ApiClient, type KubernetesObject } from "../support/api-client.ts";
import { type DoctorReport, doctor, type Side } from "../support/doctor.ts";
import { promised } from "../support/doctor-page.ts";
import { eventually } from "../support/eventually.ts";
import { TcpBox } from "../support/middle-boxes/tcp-box.ts";
import { skewedClock } from "../support/skewed-clock.ts";
import { startTestbed, type Testbed } from "../support/testbed.ts";
import { alice, startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const ADMINISTRATOR = { email: "administrator@fairlead.dev", groups: [] };
const SIDES: Side[] = ["client", "agent"];
const BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
/** Ninety seconds in a real one. */
const CUT_AT_MS = 4_000;

let testbed: Testbed; // of its own, since its apiserver is stopped
let admin: ApiClient;
let own: TunnelToTestbed;
/** Where the agent finds the relay, if not at its own address. */
let agentsRelay: string | undefined;
/** How far the relay's clock is off, in milliseconds. */
let relaysClockMs = 0;

beforeAll(async () => {
  testbed = await startTestbed();
  admin = await ApiClient.create({ ...testbed, client: testbed.adminClient });
  own = await startTunnel(testbed, {
    args: (process) => (process === "agent" && agentsRelay ? ["--relay", agentsRelay] : []),
    env: (process): Record<string, string> => (process === "relay" ? { ...skewedClock(relaysClockMs) } : {}),
  });
});
afterAll(async () => {
  await own.stop();
  admin.close();
  await testbed.stop();
});

/** Doctor's answers at both ends, at once. */
async function answers(): Promise<Record<Side, DoctorReport>> {
  const [client, agent] = await Promise.all(SIDES.map((side) => doctor(own.tunnel, side)));
  if (!client || !agent) throw new Error("doctor did not answer");
  return { client, agent };
}

async function expectPromised(fault: string): Promise<void> {
  const { client, agent } = await answers();
  expect(client).toMatchObject(promised(fault, "client"));
  expect(agent).toMatchObject(promised(fault, "agent"));
}

/** Waits until both find nothing. */
async function healthy(): Promise<void> {
  let last: Record<Side, DoctorReport> | undefined;
  const look = async (): Promise<boolean> => {
    last = await answers();
    return last.client.healthy && last.agent.healthy;
  };
  await eventually(look, { what: "a healthy tunnel" }).catch((cause: Error) => {
    throw new Error(`${cause.message}: ${JSON.stringify(last)}`, { cause });
  });
}

/** Waits until the relay says of the cluster what matches. */
async function untilRelaySays(pattern: RegExp): Promise<void> {
  const list = () => own.tunnel.cli(alice, "clusters", "--output", "json");
  await eventually(async () => pattern.test(await list()), { what: `${pattern} of the relay` });
}

/** Starts the relay again with more in its configuration. @returns takes it back */
async function reconfigured(more: object): Promise<() => Promise<void>> {
  const file = own.tunnel.file("relay.yaml");
  const before = await readFile(file, "utf8");
  const startWith = async (text: string): Promise<void> => {
    await writeFile(file, text);
    await own.tunnel.processes.relay.end();
    await own.tunnel.startProcess("relay");
  };
  await startWith(stringify({ ...parse(before), ...more }));
  return () => startWith(before);
}

/** Starts the agent again. @param relay the address that it dials; its own if undefined */
async function restartAgent(relay?: string): Promise<void> {
  agentsRelay = relay;
  await own.tunnel.processes.agent.end();
  await own.tunnel.startProcess("agent");
}

/** Has the agent join anew. */
async function joinAnew(): Promise<void> {
  await rm(own.tunnel.file("agent"), { recursive: true, force: true });
  await giveJoinToken();
  await own.tunnel.startProcess("agent");
}

/** What is to be done when a certificate has expired (docs/howto/connect-a-cluster.md). */
async function giveJoinToken(): Promise<void> {
  const joinToken = await own.tunnel.cli(ADMINISTRATOR, "clusters", "join-token", own.tunnel.cluster);
  await writeFile(own.tunnel.file("join-token"), joinToken);
}

describe("doctor, at both ends of the tunnel, names the hop when", () => {
  it("the apiserver is down, as soon as it is", async () => {
    await healthy();
    await testbed.stopApiserver();
    try {
      const { failed } = await doctor(own.tunnel, "client"); // found by the request: the agent has yet to tell the relay
      expect(failed?.check).toBe("apiserver");
      await untilRelaySays(/cannot reach the apiserver/);
      await expectPromised("the apiserver is down"); // as the agent reports it
    } finally {
      await testbed.startApiserver();
    }
  });

  it("the identity proxy is down", async () => {
    await healthy();
    await own.tunnel.processes["identity proxy"].end("SIGKILL");
    try {
      await untilRelaySays(/cannot reach the identity proxy/);
      await expectPromised("the identity proxy is down");
    } finally {
      await own.tunnel.startProcess("identity proxy");
    }
  });

  it("the identity proxy's account may not impersonate any more", async () => {
    await healthy();
    const { items } = (await admin.get(BINDINGS)) as { items: KubernetesObject[] };
    const ours = items.find(({ metadata }) => /^fairlead-demo-[a-z0-9]+$/.test(metadata?.name ?? ""));
    if (!ours) throw new Error("the identity proxy's account has no binding");
    const { metadata, roleRef, subjects } = ours;
    await admin.delete(`${BINDINGS}/${metadata?.name}`);
    try {
      await untilRelaySays(/cannot impersonate/);
      await expectPromised("the identity proxy's account may not impersonate");
    } finally {
      await admin.create(BINDINGS, { metadata: { name: metadata?.name }, roleRef, subjects } as KubernetesObject);
    }
  });

  it("something on the way cuts the agent's connections at one age", async () => {
    await healthy();
    const box = await TcpBox.start(new URL(own.tunnel.relayUrl), CUT_AT_MS);
    await restartAgent(box.url);
    try {
      const cut = async () => {
        const report = await doctor(own.tunnel, "agent");
        return report.failed?.check === "sessions";
      };
      await eventually(cut, { what: "three connections that were cut" });
      await expectPromised("something on the way cuts connections at one age");
    } finally {
      await restartAgent();
      await box.stop();
    }
  });

  it("the relay's clock is an hour off", async () => {
    const restartRelay = async (offMs: number): Promise<void> => {
      relaysClockMs = offMs;
      await own.tunnel.processes.relay.end();
      await own.tunnel.startProcess("relay");
    };
    await restartRelay(3_600_000);
    try {
      await expectPromised("the relay's clock is an hour off");
    } finally {
      await restartRelay(0);
    }
  });

  it("client and agent are older than the relay supports, and the agent is refused", async () => {
    const takeBack = await reconfigured({ oldestVersions: { client: "0.2.0", agent: "0.2.0" } });
    try {
      const { client, agent } = await answers();
      expect(client).toMatchObject(promised("the client is older than the relay supports", "client"));
      expect(agent).toMatchObject(promised("the agent is older than the relay takes", "agent"));
    } finally {
      await takeBack();
    }
    const takeBackAgents = await reconfigured({ oldestVersions: { agent: "0.2.0" } });
    try {
      await untilRelaySays(/older than 0\.2\.0/);
      const { failed } = await doctor(own.tunnel, "client");
      expect(failed).toMatchObject({ check: "agent", seen: expect.stringContaining("update the agent") });
    } finally {
      await takeBackAgents();
    }
  });

  it("the agent's certificate has expired", async () => {
    await own.tunnel.processes.agent.end();
    const takeBack = await reconfigured({ agents: { certificateSeconds: 5 } });
    try {
      await joinAnew();
      await untilRelaySays(/"Connected"/);
      await own.tunnel.processes.agent.end("SIGKILL");
      await untilRelaySays(/"Expired"/);
      await expectPromised("the agent's certificate has expired");
      await giveJoinToken(); // the agent keeps its state, and its key
      await own.tunnel.startProcess("agent");
      await untilRelaySays(/"Connected"/);
      await own.tunnel.processes.agent.end("SIGKILL");
    } finally {
      await takeBack();
      await joinAnew();
    }
  });

  it("the cluster was removed at the relay", async () => {
    await healthy();
    await own.tunnel.cli(ADMINISTRATOR, "clusters", "delete", own.tunnel.cluster);
    await expectPromised("the cluster was removed at the relay");
  });
});
