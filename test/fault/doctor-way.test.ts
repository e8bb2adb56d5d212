import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { bareAgentDoctor, clusters, type DoctorRun, doctor, doctorOutput, type Side } from "../support/doctor.ts";
import { promised } from "../support/doctor-page.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/free-port.ts";
import { HttpProxyBox } from "../support/middle-boxes/http-proxy.ts";
import { SilentPort } from "../support/middle-boxes/silent-port.ts";
import { TcpBox } from "../support/middle-boxes/tcp-box.ts";
import { TlsBox } from "../support/middle-boxes/tls-box.ts";
import { setScene } from "../support/scene.ts";
import { skewedClock } from "../support/skewed-clock.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster } = await setScene();
const SIDES: Side[] = ["client", "agent"];
/** Ninety seconds in a real one. */
const CUT_AT_MS = 4_000;
const CREDENTIALS = "ada:pass-7f3a";

let own: TunnelToTestbed;
let folder: string;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
  folder = await mkdtemp(join(cluster.testbed.dir, "doctor-"));
});
afterAll(async () => {
  for (const stop of stops) await stop();
  await own.stop();
});

/** Something that is stopped in the end. */
function kept<T extends { stop(): Promise<void> }>(thing: T): T {
  stops.push(() => thing.stop());
  return thing;
}

/** What is wrong on the way to the relay, and how doctor is run then. */
const FAULTS: Record<string, () => Promise<DoctorRun>> = {
  "the relay's name does not resolve": async () => ({ relay: "https://relay.invalid" }),
  "the relay's port is closed": async () => ({ relay: `https://127.0.0.1:${(await freePorts(1))[0]}` }),
  "a firewall drops connections": async () => ({ relay: kept(await SilentPort.start()).url }),
  "the authority given is not the one that signed the relay's certificate": async () => ({
    relayCa: kept(await TlsBox.portal(folder, "http1")).ca,
  }),
  "this machine's clock is an hour off": async () => ({ env: skewedClock(3_600_000) }),
  "a TLS proxy on the way speaks HTTP/1.1 only": async () => {
    const box = kept(await TlsBox.passingHttp1(folder, own.tunnel.relayUrl, own.tunnel.file("ca.crt")));
    return { relay: box.url, relayCa: box.ca };
  },
  "a portal or a block page answers": async () => {
    const box = kept(await TlsBox.portal(folder, "http2"));
    return { relay: box.url, relayCa: box.ca };
  },
  "the HTTP proxy wants credentials": async () => {
    const proxy = kept(await HttpProxyBox.start(new URL(own.tunnel.relayUrl), CREDENTIALS));
    return { relay: "https://relay.example.com", env: { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` } };
  },
};

describe.each(SIDES)("doctor at the %s", (side) => {
  it("finds nothing where all is well", async () => {
    const report = await eventually(
      async () => {
        const last = await doctor(own.tunnel, side);
        return last.healthy && last; // the agent looks at the cluster first
      },
      { what: "a healthy tunnel" },
    );
    expect(report.failed).toBeUndefined();
    expect(report.checks.every(({ state }) => state === "ok")).toBe(true);
  });

  it.each(Object.keys(FAULTS))("names the hop when %s", async (fault) => {
    const report = await doctor(own.tunnel, side, await FAULTS[fault]?.());
    expect(report).toMatchObject(promised(fault, side));
    const at = report.checks.findIndex(({ state }) => state === "failed");
    expect(report.checks.slice(0, at).every(({ state }) => state === "ok")).toBe(true);
    expect(report.checks.slice(at + 1).every(({ state }) => state === "skipped")).toBe(true);
  });

  it("names the portal that speaks HTTP/1.1 too, and a clock that is behind", async () => {
    const box = kept(await TlsBox.portal(folder, "http1"));
    const report = await doctor(own.tunnel, side, { relay: box.url, relayCa: box.ca });
    expect(report).toMatchObject(promised("a portal or a block page answers", side));
    const behind = await doctor(own.tunnel, side, { env: skewedClock(-3_600_000) });
    expect(behind).toMatchObject(promised("this machine's clock is an hour off", side));
  });

  it("gets through an HTTP proxy whose credentials are given, and shows none of them", async () => {
    const proxy = kept(await HttpProxyBox.start(new URL(own.tunnel.relayUrl), CREDENTIALS));
    const env = { HTTPS_PROXY: `http://${CREDENTIALS}@127.0.0.1:${proxy.port}` };
    const report = await doctor(own.tunnel, side, { relay: "https://relay.example.com", env });
    expect(report.failed).toMatchObject({ check: "tls", seen: expect.stringContaining("does not match") });
    expect(report.checks[2]).toMatchObject({ check: "proxy", state: "ok" });
    expect(JSON.stringify(report)).not.toContain("7f3a");
  });

  it.each([
    ["", "it wants credentials (HTTP 407)"],
    [`${CREDENTIALS}@`, "does not match certificate"],
  ])("is right about the way of `fairlead clusters`, with %j in HTTPS_PROXY", async (credentials, says) => {
    const proxy = kept(await HttpProxyBox.start(new URL(own.tunnel.relayUrl), CREDENTIALS));
    const env = { HTTPS_PROXY: `http://${credentials}127.0.0.1:${proxy.port}` };
    const { failed } = await doctor(own.tunnel, side, { relay: "https://relay.example.com", env });
    const { stderr } = await clusters(own.tunnel, { relay: "https://relay.example.com", env });
    expect([failed?.seen, stderr]).toEqual([expect.stringContaining(says), expect.stringContaining(says)]);
  });

  it("tells people in words where there is no terminal, and lets nobody tell a terminal anything", async () => {
    const box = kept(await TlsBox.portal(folder, "http2"));
    const { stdout } = await doctorOutput(own.tunnel, side, { relay: box.url, relayCa: box.ca });
    expect(stdout).toMatch(/^ok {7}name +127\.0\.0\.1 is an address\nok {7}connection /);
    expect(stdout).toMatch(/\nfailed {3}gRPC +HTTP 200, server: portal, .*\nskipped {2}clock +not looked at\n/);
    expect(stdout).toMatch(/\ngRPC fails: .*\nWhat to do: a portal or a block page answers/);
    expect(stdout.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });

  it("finds what cuts connections at an age, by holding one", async () => {
    const box = kept(await TcpBox.start(new URL(own.tunnel.relayUrl), CUT_AT_MS));
    const report = await doctor(own.tunnel, side, { relay: box.url, args: ["--hold", "20"] });
    expect(report.failed).toMatchObject({ check: "sessions", seen: expect.stringContaining("was cut after 4") });
    const held = await doctor(own.tunnel, side, { args: ["--hold", "6"] });
    expect(held.failed).toBeUndefined();
  });
});

describe("doctor in an agent's pod", () => {
  it("takes the agent's options from its environment", async () => {
    const env = {
      ...{ FAIRLEAD_RELAY: own.tunnel.relayUrl, FAIRLEAD_RELAY_CA: own.tunnel.file("ca.crt") },
      ...{ FAIRLEAD_STATE_FOLDER: own.tunnel.file("agent") },
      FAIRLEAD_IDENTITY_PROXY: `unix:${own.tunnel.file("identity-proxy.sock")}`,
    };
    const { stdout, stderr } = await bareAgentDoctor(env);
    expect([stderr, stdout]).toEqual(["", expect.stringMatching(/\nok {7}impersonation .*\n\nAll is well\.\n$/)]);
  });
});
