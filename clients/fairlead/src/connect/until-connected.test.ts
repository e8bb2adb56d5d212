import { create } from "@bufbuild/protobuf";
import { type Cluster, ClusterSchema, ClusterState, ErrorCode } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import type { RelayConnection } from "../relay/relay-connection.ts";
import { untilConnected } from "./until-connected.ts";

const state = (state: ClusterState, stateReason = ""): Cluster =>
  create(ClusterSchema, { name: "prod-eu1", state, stateReason });

/** A relay that answers so, one after another, and the last for ever. */
function relay(...answers: (Cluster | undefined)[]): RelayConnection {
  const listClusters = async () => {
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return { clusters: answer ? [answer] : [] };
  };
  return { clusters: { listClusters } } as unknown as RelayConnection;
}

const never = new AbortController().signal;

describe("the wait for a cluster", () => {
  it("tells each change of its state once, and ends when requests get through", async () => {
    const told: string[] = [];
    const away = state(ClusterState.CONNECTING, "no agent has joined yet");
    const there = state(ClusterState.CONNECTED);
    const wait = untilConnected(relay(away, away, there), "prod-eu1", (line) => told.push(line), 60_000, never);
    expect(await wait).toBe(there);
    expect(told).toEqual(["Connecting: no agent has joined yet"]);
  });

  it("ends in vain with the last state, and why", async () => {
    const degraded = state(ClusterState.DEGRADED, "the apiserver is not ready");
    await expect(untilConnected(relay(degraded), "prod-eu1", () => {}, 0, never)).rejects.toMatchObject({
      code: ErrorCode.TIMED_OUT,
      message: "the cluster is not connected after 0 s. Degraded: the apiserver is not ready",
    });
  });

  it("ends in vain when the relay does not know the cluster", async () => {
    const wait = untilConnected(relay(undefined), "prod-eu1", () => {}, 0, never);
    await expect(wait).rejects.toThrow(/the relay does not know it any more/);
  });

  it("ends when it is interrupted, with the reason", async () => {
    const interrupted = new AbortController();
    const told = () => interrupted.abort(new Error("interrupted"));
    const wait = untilConnected(relay(state(ClusterState.OFFLINE)), "prod-eu1", told, 60_000, interrupted.signal);
    await expect(wait).rejects.toThrow("interrupted");
  });
});
