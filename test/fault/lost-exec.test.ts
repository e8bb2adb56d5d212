import type { ProcessName } from "@fairlead/demo";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";
import { startTunnel, type TunnelToTestbed } from "../support/tunnel.ts";

const { cluster, describeWithNode } = await setScene();
const HOPS: ProcessName[] = ["relay", "agent", "identity proxy"];
let own: TunnelToTestbed;

beforeAll(async () => {
  own = await startTunnel(cluster.testbed);
});
afterAll(() => own.stop());

describeWithNode.each(streamingKubectls(cluster))("exec with $name", ({ kubectl }) => {
  describe.each(HOPS)("exits non-zero and says why when the %s dies", (hop) => {
    it("after the command's first output", async () => {
      const through = kubectl.against(own.tunnel.kubeconfig);
      const exec = through.start(["exec", "p1", "--", "sh", "-c", "echo begun; sleep 60; echo done"]);
      await exec.waitForOutput(/begun/);
      await own.tunnel.processes[hop].end("SIGKILL");
      const { code } = await exec.exited;
      await own.tunnel.startProcess(hop);
      expect(code).toBe(1);
      expect(exec.stdout).toBe("begun\n");
      expect(exec.stderr).toMatch(/error: fairlead: .* was lost while/);
    });
  });
});
