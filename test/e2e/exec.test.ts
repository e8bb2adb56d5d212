import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "@jest/globals";
import { AuditLog, actingUser } from "../support/audit-log.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";
import { alice } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();

const megabyte = 1_000_000;

const inPod = (...command: string[]): string[] => ["exec", "p1", "--", ...command];
const inPodWithInput = (...command: string[]): string[] => ["exec", "-i", "p1", "--", ...command];

describeWithNode.each(streamingKubectls(cluster))("exec with $name", ({ kubectl }) => {
  it("keeps stdout and stderr apart", async () => {
    const outcome = await kubectl.run(inPod("sh", "-c", "echo to port; echo to starboard >&2"));
    expect(outcome).toMatchObject({ code: 0, stdout: "to port\n", stderr: "to starboard\n" });
  });

  it("exits with the command's exit code", async () => {
    const outcome = await kubectl.run(inPod("sh", "-c", "echo before; exit 7"));
    expect(outcome).toMatchObject({ code: 7, stdout: "before\n" });
    expect(outcome.stderr).toBe("command terminated with exit code 7\n");
  });

  it("takes a command of 100,000 bytes, which travels in the request's URL", async () => {
    const word = "x".repeat(100_000);
    const outcome = await kubectl.run(inPod("echo", word));
    expect(outcome).toMatchObject({ code: 0, stdout: `${word}\n` });
  });

  it("passes on the node's sentence about a command that cannot be started", async () => {
    const outcome = await kubectl.run(inPod("/no/such/command"));
    expect(outcome).toMatchObject({ code: 1, stdout: "" });
    expect(outcome.stderr).toMatch(/Internal error occurred: .*no such file or directory/);
  });

  it("passes on the apiserver's refusal of a container that does not exist", async () => {
    const outcome = await kubectl.run(["exec", "p1", "-c", "keel", "--", "true"]);
    expect(outcome).toMatchObject({ code: 1, stdout: "" });
    expect(outcome.stderr).toMatch(/container (not found \("keel"\)|keel is not valid for pod p1)/);
  });

  it("tells the command that its input has ended, after 5 MB of it, and still gets the answer", async () => {
    const stdin = Buffer.alloc(5 * megabyte, "fairlead\n");
    const outcome = await kubectl.run(inPodWithInput("sh", "-c", "cat | sha256sum"), { stdin });
    expect(outcome).toMatchObject({ code: 0 });
    expect(outcome.stdout).toBe(`${createHash("sha256").update(stdin).digest("hex")}  -\n`);
  });

  it("echoes while its input stays open", async () => {
    const exec = kubectl.start(inPodWithInput("cat"));
    for (const word of ["first", "second", "third"]) {
      exec.write(`${word}\n`);
      await exec.waitForOutput(new RegExp(`^${word}\n`, "m"));
    }
    exec.endInput();
    expect(await exec.exited).toMatchObject({ code: 0 });
  });

  it("delivers all output to a slow reader, though the command has long ended", async () => {
    const exec = kubectl.start(inPod("seq", "2750000"), { keepStdout: true });
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of exec.rawStdout) {
      hash.update(chunk);
      bytes += chunk.length;
      // The slow reader himself, not a wait for something.
      await delay(1);
    }
    expect(await exec.exited).toMatchObject({ code: 0 });
    const expected = Array.from({ length: 2_750_000 }, (_, index) => `${index + 1}\n`).join("");
    expect(bytes).toBe(expected.length);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(expected).digest("hex"));
  });

  it("reaches the cluster by this protocol at the first attempt, as alice", async () => {
    const audit = await AuditLog.fromNow(cluster.testbed.auditLog);
    const mark = `mark-${process.hrtime.bigint()}`;
    await kubectl.run(inPod("echo", mark));
    const ofThisExec = ({ requestURI }: { requestURI: string }) => requestURI.includes(mark);
    const event = await audit.waitFor((each) => ofThisExec(each) && each.stage === "ResponseComplete", "the exec");
    // kubectl falls back to SPDY without a word when WebSocket is refused, and then there are two.
    const attempts = (await audit.read()).filter(ofThisExec).map(({ auditID }) => auditID);
    expect(new Set(attempts).size).toBe(1);
    expect(event.verb).toBe(kubectl.protocol === "WebSocket" ? "get" : "create");
    expect(event.responseStatus).toMatchObject({ code: 101 });
    expect(actingUser(event)).toBe(alice.email);
  });
});
