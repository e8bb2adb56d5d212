import type { Data } from "@fairlead/protocol";
import { describe, expect, it } from "@jest/globals";
import {
  type Attempt,
  headOf,
  isOpening,
  type Request,
  type Response,
  statusOf,
  wholeAnswer,
} from "../support/attempt.ts";
import { AuditLog } from "../support/audit-log.ts";
import { forgedResult } from "../support/forged-result.ts";
import { ALICES, HostileScene } from "../support/hostile-scene.ts";
import { kubectls, streamingKubectls } from "../support/kubectls-under-test.ts";
import { createConfigMap, createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";

const { cluster, admin, describeWithNode } = await setScene();
const scene = HostileScene.set(cluster.testbed);
const PATH = "/api/v1/namespaces/default";
const newest = () => {
  const row = kubectls(cluster).at(-1);
  if (row === undefined) throw new Error("no kubectl");
  return row.kubectl.against(scene.tunnel.kubeconfig);
};

const end = (offset: bigint, data: Uint8Array = new Uint8Array()): Response => {
  const $typeName = "fairlead.tunnel.v1alpha1.End";
  return { case: "end", value: { $typeName, offset, data, trailers: [] } };
};

describe("a hostile relay that answers by itself", () => {
  it("can: the client is lied to, and the cluster hears nothing, even if the token is bound to a key", async () => {
    await scene.useToken(await scene.boundToken());
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const lie = JSON.stringify({ kind: "Namespace", metadata: { name: "made-up" } });
    const answer = await scene.request({ answer: ({ exchangeId }) => [wholeAnswer(exchangeId, 200, lie)] }, PATH);
    expect([answer.status, answer.body]).toEqual([200, lie]);
    expect((await audit.read()).filter(({ requestURI }) => requestURI === PATH)).toEqual([]);
  });

  it("can change what the cluster answers, even if the token is bound to a key", async () => {
    const change = (bytes: Uint8Array) =>
      Buffer.from(Buffer.from(bytes).toString("latin1").replace("default", "defau1t"));
    const answer = await scene.request({ response: (frame) => [onBody(frame, change)] }, PATH);
    expect(JSON.parse(answer.body)).toMatchObject({ metadata: { name: "defau1t" } });
  });
});

describeWithNode.each(streamingKubectls(cluster))("a hostile relay in an exec with $name", ({ kubectl }) => {
  /** Runs a command whose second output the relay answers with something else. */
  async function exec(instead: (held: Data) => readonly Response[] | "cut") {
    await scene.useToken(await scene.boundToken());
    let state: "honest" | "waiting" | "lied" = "honest";
    scene.relay.attempt = {
      response: (frame) => {
        if (state === "honest" || (state === "waiting" && frame.case !== "data")) return [frame];
        const was = state;
        state = "lied";
        return was === "waiting" && frame.case === "data" ? instead(frame.value) : [];
      },
    };
    const program = kubectl
      .against(scene.tunnel.kubeconfig)
      .start(["exec", "-i", "p1", "--", "sh", "-c", "echo begun; read line; echo done"]);
    await program.waitForOutput(/begun/);
    state = "waiting";
    program.write("on\n");
    const { code } = await program.exited;
    expect(program.stdout).toBe("begun\n");
    return { code, stderr: program.stderr };
  }

  it("cannot cut it without kubectl's saying so", async () => {
    const { code, stderr } = await exec(() => "cut");
    expect(code).toBe(1);
    expect(stderr).toMatch(/error: fairlead: .*lost/);
  });

  it("cannot end it, as if the connection had ended in good order, and have it pass for a success", async () => {
    const { code } = await exec(({ offset }) => [end(offset)]);
    expect(code).toBe(1);
  });

  it("can end it with a result of its own making: kubectl exits 0", async () => {
    const { code } = await exec(({ offset }) => [end(offset, forgedResult(kubectl.protocol))]);
    expect(code).toBe(0);
  });
});

describe("a hostile relay in a watch and a list", () => {
  it("cannot cut an answer short without kubectl's saying so", async () => {
    await scene.useToken(await scene.plainToken());
    scene.relay.attempt = { response: (frame) => [onBody(frame, (bytes) => bytes.subarray(0, bytes.length / 2))] };
    const outcome = await newest().run(["get", "--raw", PATH]);
    expect(outcome.code).toBe(1);
  });

  const ends: [where: string, instead: (held: Data) => readonly Response[] | "cut"][] = [
    ["between two events", ({ offset }) => [end(offset)]],
    ["within an event", ({ offset, data }) => [end(offset, data.subarray(0, data.length / 2))]],
    ["by a cut", () => "cut"],
  ];

  it.each(ends)("can end a watch %s: kubectl exits 0, as after every end of a watch", async (_where, instead) => {
    expect(await watched(instead)).toEqual({ code: 0, stdout: expect.not.stringContaining("hidden"), stderr: "" });
  });

  async function watched(instead: (held: Data) => readonly Response[] | "cut") {
    await scene.useToken(await scene.plainToken());
    const namespace = await createNamespace(admin);
    let isLying = false;
    scene.relay.attempt = {
      response: (frame) => {
        if (!isLying) return [frame];
        return frame.case === "data" ? instead(frame.value) : [];
      },
    };
    const watch = newest().start(["get", "configmaps", "-n", namespace, "-w", "-o", "name"]);
    await watch.waitForOutput(/kube-root-ca/); // the list before it is over
    await createConfigMap(admin, namespace, "seen");
    await watch.waitForOutput(/seen/);
    isLying = true;
    await createConfigMap(admin, namespace, "hidden");
    const { code } = await watch.exited;
    return { code, stdout: watch.stdout, stderr: watch.stderr };
  }
});

describe("a hostile relay that cuts a write once it has gone on", () => {
  it("has the client told that it may have been carried out, and not sent again", async () => {
    await scene.useToken(await scene.plainToken());
    const target = "/api/v1/namespaces/default/configmaps?dryRun=All";
    const answer = await scene.request({ response: () => "cut" }, target, [], "POST");
    expect(answer).toMatchObject({ status: 502, body: expect.stringMatching(/it may have been carried out/) });
    expect(scene.relay.seen.filter((frame) => headOf(frame).target === target)).toHaveLength(1);
  });
});

describe("a hostile relay that keeps a watch beyond its token's expiry", () => {
  it("cannot: the identity proxy ends it within 5 s, and nothing more comes of it", async () => {
    const exp = Math.floor(Date.now() / 1_000) + 3;
    await scene.useToken(await scene.plainToken({ exp }));
    const answers: Response[] = [];
    scene.relay.attempt = {
      response: (frame) => {
        answers.push(frame);
        return frame.case === "error" ? [] : [frame];
      },
    };
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const namespace = await createNamespace(admin);
    const watch = newest().start(["get", "configmaps", "-n", namespace, "-w", "-o", "name"]);
    const isOver = (stage: string) => stage === "ResponseComplete";
    await audit.waitFor(
      ({ verb, stage, requestURI }) => verb === "watch" && isOver(stage) && requestURI.includes(namespace),
      "the watch's end",
    );
    expect(Date.now() - exp * 1_000).toBeLessThan(5_000);
    expect(answers.at(-1)).toMatchObject({ case: "error", value: { code: 3, hop: 4 } });
    expect(watch.hasExited).toBe(false); // the relay keeps the client's side of it; it is a dead one
    await watch.stop();
  });
});

describe("a hostile relay that sends frames out of order", () => {
  const $typeName = "fairlead.tunnel.v1alpha1.Data";
  const data = (offset: bigint): Request & Response => ({
    case: "data",
    value: { $typeName, offset, data: Buffer.from("x") },
  });
  const whole = async () => scene.held(`${PATH}?pretty=false`);
  const toAgents: [what: string, frames: () => Promise<(Request | Uint8Array)[]>][] = [
    ["a body without a head", async () => [data(0n)]],
    ["bytes that are no frame", async () => [Buffer.from([0xff, 0xff])]],
    ["a body with a gap", async () => [asHead(await whole()), data(5n)]],
  ];

  it.each(toAgents)("ends that lane and nothing else at the agent: %s", async (_what, frames) => {
    await scene.useToken(await scene.plainToken());
    const answer = await scene.relay.send(await frames());
    expect(statusOf(answer)).toBeUndefined();
    expect((await scene.request({}, PATH)).status).toBe(200);
    expect(scene.relay.agents.attached[ALICES]).toBe(1);
  });

  it("answers one at most of two requests at once, ends that lane and nothing else at the agent", async () => {
    await scene.useToken(await scene.plainToken());
    const answer = await scene.relay.send([await whole(), await whole()]);
    expect(answer.filter((frame) => statusOf([frame]) !== undefined).length).toBeLessThanOrEqual(1);
    expect((await scene.request({}, PATH)).status).toBe(200);
    expect(scene.relay.agents.attached[ALICES]).toBe(1);
  });

  const toClients: [what: string, attempt: Attempt][] = [
    ["a body before its head", { answer: () => [data(0n)] }],
    ["an answer to another request", { answer: () => [wholeAnswer(Buffer.alloc(16), 200, "{}")] }],
    ["a second answer", { answer: ({ exchangeId }) => [end(0n), wholeAnswer(exchangeId, 200, "{}")] }],
  ];

  it.each(toClients)("ends that request with an error and nothing else at the client: %s", async (_what, attempt) => {
    const answer = await scene.request(attempt, PATH);
    expect(answer.status).toBe(502);
    expect(answer.headers["fairlead-error"]).toMatch(/PROTOCOL_VIOLATION/);
    expect(await scene.request({}, PATH)).toMatchObject({ status: 200 });
  });
});

function asHead(frame: Request): Request {
  if (!isOpening(frame)) throw new Error("no opening frame");
  return { case: "head", value: headOf(frame) };
}

/** A copy of a frame of an answer, with another body. */
function onBody(frame: Response, change: (bytes: Uint8Array) => Uint8Array): Response {
  if (frame.case === "whole") return { ...frame, value: { ...frame.value, body: change(frame.value.body) } };
  if (frame.case === "data") return { ...frame, value: { ...frame.value, data: change(frame.value.data) } };
  return frame;
}
