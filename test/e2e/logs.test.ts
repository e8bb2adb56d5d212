import { expect, it } from "@jest/globals";
import { kubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";

const { cluster, describeWithNode } = await setScene();

const lines = (first: number, last: number): string =>
  Array.from({ length: last - first + 1 }, (_, index) => `line ${first + index}\n`).join("");

describeWithNode.each(kubectls(cluster))("logs with $name", ({ kubectl }) => {
  it("shows what a container has logged", async () => {
    const outcome = await kubectl.run(["logs", "p1"]);
    expect(outcome).toMatchObject({ code: 0, stdout: lines(0, 9), stderr: "" });
  });

  it("shows the last lines alone", async () => {
    const outcome = await kubectl.run(["logs", "p1", "--tail=3"]);
    expect(outcome).toMatchObject({ code: 0, stdout: lines(7, 9), stderr: "" });
  });

  it("shows each line as it is logged, and ends on Ctrl-C", async () => {
    const logs = kubectl.start(["logs", "-f", "p1", "--tail=1"]);
    await logs.waitForOutput(new RegExp(`^${lines(9, 12)}`));
    expect(logs.hasExited).toBe(false);
    logs.signal("SIGINT");
    await logs.exited;
  });
});
