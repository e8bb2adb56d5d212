import { expect, it } from "@jest/globals";
import { eventually } from "../support/eventually.ts";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { createNamespace } from "../support/namespace.ts";
import { setScene } from "../support/scene.ts";
import { KubectlInTerminal } from "../support/terminal.ts";
import { createRunningPod, reportEphemeralContainer } from "../support/testbed-node.ts";

const { cluster, admin, describeWithNode } = await setScene();

describeWithNode.each(streamingKubectls(cluster))("attach with $name", ({ kubectl }) => {
  it("shows what the container goes on printing", async () => {
    const attach = kubectl.start(["attach", "p1"]);
    await attach.waitForOutput(/^tick 0\ntick 1\ntick 2\n/m);
    expect(attach.hasExited).toBe(false);
    await attach.stop();
  });

  it("carries input there and its echo back, until the input ends", async () => {
    const attach = kubectl.start(["attach", "-i", "p1"]);
    attach.write("ahoy\n");
    await attach.waitForOutput(/^ahoy\n/m);
    attach.endInput();
    expect(await attach.exited).toMatchObject({ code: 0 });
  });

  it("works in a terminal", async () => {
    const size = { rows: 24, columns: 80 };
    const terminal = await KubectlInTerminal.start(kubectl, ["attach", "-it", "p1"], size);
    await terminal.program.waitForOutput(/attached/);
    terminal.type("ahoy");
    await terminal.program.waitForOutput(/ahoy$/);
    await terminal.program.stop();
  });
});

describeWithNode.each(streamingKubectls(cluster))("debug with $name", ({ kubectl }) => {
  it("adds an ephemeral container to the pod, waits for it to run, and attaches to it", async () => {
    const pod = { name: "hull", namespace: await createNamespace(admin) };
    await createRunningPod(admin, pod.name, pod.namespace);
    const args = ["debug", "-i", pod.name, "-n", pod.namespace, "--image=local", "-c", "diver"];
    const debug = kubectl.start(args);
    const added = async (): Promise<boolean> => {
      const { spec } = await admin.get(`/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`);
      return JSON.stringify(spec).includes('"diver"');
    };
    await eventually(added, { what: "the ephemeral container" });
    expect(debug.hasExited).toBe(false);

    await reportEphemeralContainer(admin, pod, "diver");
    debug.write("ahoy\n");
    await debug.waitForOutput(/^ahoy\n/m);
    debug.endInput();
    expect(await debug.exited).toMatchObject({ code: 0 });
  });
});
