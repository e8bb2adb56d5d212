import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { type AuditEvent, AuditLog } from "../support/audit-log.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { breakOff, fetchOnce, LocalService } from "../support/local-service.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { setScene } from "../support/scene.ts";
import { itSince } from "../support/since.ts";

const { cluster, describeWithNode } = await setScene();

const megabyte = 1_000_000;

describeWithNode.each(streamingKubectls(cluster))("port-forward with $name", ({ kubectl }) => {
  let service: LocalService;
  let audit: AuditLog;
  let forward: RunningProgram;
  let port: number;

  beforeAll(async () => {
    service = await LocalService.start();
    audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    forward = kubectl.start(["port-forward", "p1", `:${service.port}`]);
    const [, local] = await forward.waitForOutput(/Forwarding from 127\.0\.0\.1:(\d+) ->/);
    port = Number(local);
  });

  afterAll(async () => {
    await forward.stop();
    await service.stop();
  });

  it("carries HTTP to the pod and back", async () => {
    const body = Buffer.alloc(5 * megabyte, "ballast");
    const hash = createHash("sha256").update(body).digest("hex");
    const answer = await fetchOnce(port, "/quay", body);
    expect(answer.toString()).toBe(`/quay ${hash}`);
  });

  it("carries many connections at once, each to its own end", async () => {
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    const answers = await Promise.all(numbers.map((n) => fetchOnce(port, `/berth/${n}`)));
    expect(answers.map((answer) => answer.toString().split(" ")[0])).toEqual(numbers.map((n) => `/berth/${n}`));
  });

  it("brings back all of a large answer", async () => {
    const answer = await fetchOnce(port, `/bytes/${20 * megabyte}`);
    expect(answer.equals(Buffer.alloc(20 * megabyte, "fairlead"))).toBe(true);
  });

  it("goes on when one local connection breaks", async () => {
    await breakOff(port, 100);
    const answer = await fetchOnce(port, "/after");
    expect(answer.toString()).toMatch(/^\/after /);
    expect(forward.hasExited).toBe(false);
  });

  // Up to 1.31 kubectl leaves the broken connection's stream unread, which stops all others beside it.
  itSince(32, kubectl)("goes on when one local connection breaks amid a large answer", async () => {
    await breakOff(port, 50 * megabyte);
    const answer = await fetchOnce(port, "/after");
    expect(answer.toString()).toMatch(/^\/after /);
    expect(forward.hasExited).toBe(false);
  });

  it("has reached the cluster by this protocol at the first attempt", async () => {
    await forward.stop();
    const isForward = ({ requestURI, user }: AuditEvent) =>
      user.username === cluster.account && requestURI.includes("/pods/p1/portforward");
    const event = await audit.waitFor(
      (each) => isForward(each) && each.stage === "ResponseComplete",
      "the port-forward",
    );
    const attempts = (await audit.read()).filter(isForward).map(({ auditID }) => auditID);
    expect(new Set(attempts).size).toBe(1);
    expect(event.verb).toBe(kubectl.protocol === "WebSocket" ? "get" : "create");
  });
});
