import type { Case, Row } from "../case.ts";
import { interleaved } from "../measure/interleaved.ts";
import { type MeasuredLoad, measureLoad } from "../measure/measured-load.ts";
import { failuresOf, medianOf, perProcess } from "./figures.ts";

/** Between an echo and the next key, in milliseconds: nobody types faster, and nothing is still awake from the last. */
const PAUSE_MS = 10;
/** Says that it is there, and gives each byte back as it comes; the terminal itself echoes nothing. */
const COMMAND = ["sh", "-c", "stty raw -echo; echo ready; exec cat"];

/** What a person at a shell feels. */
export const execEcho: Case = {
  name: "exec-echo",
  title:
    "Keystrokes in an exec with a terminal (WebSocket, v5.channel.k8s.io): from one byte sent to its echo, with 10 ms between",
  inQuick: true,
  plotted: "p50",
  run: async (context) => {
    context.tell("exec-echo");
    const origin = await context.apiserver();
    const { rounds, roundSeconds } = context.options;
    const measured = await interleaved(await context.paths(origin), rounds, (path) =>
      measureLoad(context, origin, path, {
        kind: "exec echo",
        endpoint: path.endpoint,
        target: `/api/v1/namespaces/default/pods/p1/exec?${query()}`,
        pauseMs: PAUSE_MS,
        warmUpMs: 500,
        measureMs: roundSeconds * 1_000,
      }),
    );
    const [straight = []] = measured.values();
    return [...measured].map(([path, results]): Row => {
      return { case: execEcho.name, variant: "one byte", path: path.name, ...figuresOf(results, straight) };
    });
  },
};

function query(): URLSearchParams {
  const flags = { stdin: "true", stdout: "true", tty: "true", container: "c" };
  return new URLSearchParams([...Object.entries(flags), ...COMMAND.map((word): [string, string] => ["command", word])]);
}

function figuresOf(results: readonly MeasuredLoad[], straight: readonly MeasuredLoad[]) {
  const p50 = medianOf(results, ({ p50Ms }) => p50Ms);
  const cpu = perProcess(results, ({ cpuUs, requests }, process) => (cpuUs[process] ?? 0) / requests);
  const figures = [
    { name: "p50", unit: "ms", value: p50 },
    { name: "p50 added", unit: "ms", value: p50 - medianOf(straight, ({ p50Ms }) => p50Ms) },
    { name: "p99", unit: "ms", value: medianOf(results, ({ p99Ms }) => p99Ms) },
    ...cpu.map(({ process, value }) => ({ name: "CPU an echo", unit: "us", process, value })),
  ];
  return { figures, ...failuresOf(results) };
}
