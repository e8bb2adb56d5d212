import { describe, expect, it } from "@jest/globals";
import type { AgentState } from "../enrolment/state-store.ts";
import { agentSteps } from "./agent-steps.ts";

/** Looks at what the agent keeps, before any relay is asked. */
function lookAtCertificate(load: () => Promise<AgentState>, isKeptInCluster = false): Promise<string> {
  const store = {
    load: async () => ({ state: await load(), version: "1" }),
    save: async (): Promise<never> => {
      throw new Error("doctor changes nothing");
    },
  };
  const steps = agentSteps({
    relay: { host: "127.0.0.1", port: 1, tls: {} },
    identityProxy: () => ({ path: "/nowhere" }),
    ownCluster: async () => ({ store, uid: "", nodeCount: async () => 0 }),
    isKeptInCluster,
    holdMs: 0,
  });
  const step = steps.find(({ check }) => check === "certificate");
  if (!step) throw new Error("the certificate is not looked at");
  return step.look();
}

const failing = (error: Error) => (): Promise<never> => Promise.reject(error);

describe("doctor, before it asks the relay about the agent", () => {
  it("says that the agent has not joined, and how it does", async () => {
    await expect(lookAtCertificate(async () => ({ nextKey: "kept" }))).rejects.toMatchObject({
      ...{ check: "certificate", seen: expect.stringContaining("has not joined yet") },
      remedy: expect.stringContaining("fairlead clusters join-token"),
    });
  });

  it("names the apiserver if that has the state and does not answer", async () => {
    await expect(lookAtCertificate(failing(new Error("connect ECONNREFUSED")), true)).rejects.toMatchObject({
      ...{ check: "apiserver", seen: expect.stringContaining("ECONNREFUSED") },
    });
  });

  it("names the certificate if the apiserver refuses the state, or the folder has none", async () => {
    const refused = Object.assign(new Error("HTTP-Code: 403"), { code: 403 });
    await expect(lookAtCertificate(failing(refused), true)).rejects.toMatchObject({
      ...{ check: "certificate", remedy: "let the agent's account get its Secret" },
    });
    const denied = Object.assign(new Error("EACCES"), { code: "EACCES" });
    await expect(lookAtCertificate(failing(denied))).rejects.toMatchObject({ check: "certificate" });
  });

  it("shows nothing of a key that cannot be read", async () => {
    const load = async () => ({ certificate: "canary-7f3a", key: "canary-7f3a" });
    const error = await lookAtCertificate(load).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ check: "certificate" });
    expect(`${error}`).not.toContain("7f3a");
  });
});
