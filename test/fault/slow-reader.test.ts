import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "@jest/globals";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";

const { cluster, describeWithNode } = await setScene();

const BYTES = 12 * 1024 * 1024;
/** After kubectl's second ping, at which 1.27 and 1.36 straight at the apiserver lose megabytes, and exit 0 (ADR 32). */
const READS_AFTER_MS = 12_000;

describeWithNode("the output of a command that has ended, and that kubectl passes on late", () => {
  // Over WebSocket the apiserver itself loses some of it, straight and through us alike (ADR 32).
  const rows = streamingKubectls(cluster).filter(({ kubectl }) => kubectl.protocol === "SPDY");

  it("is whole over SPDY, by any kubectl", async () => {
    const outcomes = rows.map(async ({ name, kubectl }) => {
      const args = ["exec", "p1", "--", "head", "-c", `${BYTES}`, "/dev/zero"];
      const program = kubectl.start(args, { keepStdout: true });
      await sleep(READS_AFTER_MS);
      let bytes = 0;
      for await (const chunk of program.rawStdout) bytes += chunk.length;
      const { code } = await program.exited;
      return { name, code, bytes, stderr: program.stderr };
    });
    const whole = rows.map(({ name }) => ({ name, code: 0, bytes: BYTES, stderr: "" }));
    expect(whole.length).toBeGreaterThan(0);
    expect(await Promise.all(outcomes)).toEqual(whole);
  });
});
