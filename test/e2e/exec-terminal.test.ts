import { expect, it } from "@jest/globals";
import { streamingKubectls } from "../support/kubectls-under-test.ts";
import { setScene } from "../support/scene.ts";
import { KubectlInTerminal } from "../support/terminal.ts";

const { cluster, describeWithNode } = await setScene();

const size = { rows: 41, columns: 123 };

describeWithNode.each(streamingKubectls(cluster))("exec in a terminal with $name", ({ kubectl }) => {
  /** Returns once the command's side is there; before, kubectl's own terminal would echo what is typed. */
  const start = async (...command: string[]): Promise<KubectlInTerminal> => {
    const marked = ["sh", "-c", 'echo ready; exec "$@"', "sh", ...command];
    const args = ["exec", "-it", "p1", "--", ...marked];
    const terminal = await KubectlInTerminal.start(kubectl, args, size);
    await terminal.program.waitForOutput(/ready\r\n/);
    return terminal;
  };

  it("gives the command a terminal of the same size", async () => {
    const { program } = await start("sh", "-c", "tty && stty size");
    expect(await program.exited).toMatchObject({ code: 0 });
    expect(program.stdout).toMatch(/\/dev\/pts\/\d+\r\n41 123\r\n$/);
  });

  it("passes on each change of size, and the exit code at the end", async () => {
    const terminal = await start("sh");
    for (const [rows, columns] of [
      [50, 99],
      [24, 80],
    ] as const) {
      await terminal.resize({ rows, columns });
      terminal.type(`until stty size | grep '^${rows} ${columns}$'; do sleep 0.05; done\r`);
      await terminal.program.waitForOutput(new RegExp(`${rows} ${columns}\r\n`));
    }
    terminal.type("exit 7\r");
    expect(await terminal.program.exited).toMatchObject({ code: 7 });
  });

  it("carries Ctrl-C to the command", async () => {
    const terminal = await start("sh", "-c", "trap 'echo caught; exit 3' INT; echo trapped; sleep 60");
    await terminal.program.waitForOutput(/trapped/);
    terminal.type("\x03");
    await terminal.program.waitForOutput(/caught/);
    expect(await terminal.program.exited).toMatchObject({ code: 3 });
  });

  it("shows each key as it is typed", async () => {
    const terminal = await start("cat");
    for (const typed of ["a", "ab", "abc"]) {
      terminal.type(typed.slice(-1));
      await terminal.program.waitForOutput(new RegExp(`${typed}$`));
    }
    terminal.type("\r\x04");
    expect(await terminal.program.exited).toMatchObject({ code: 0 });
    expect(terminal.program.stdout).toMatch(/abc\r\nabc\r\n$/);
  });
});
