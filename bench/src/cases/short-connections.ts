import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { LocalService } from "@fairlead/test/support/local-service";
import type { BenchContext, Case, Row } from "../case.ts";
import { inTurns } from "../measure/in-turns.ts";
import { interleaved } from "../measure/interleaved.ts";
import { startPortForward } from "../path/port-forward.ts";
import { failuresOf, medianOf } from "./figures.ts";

const CONNECTIONS = 1_000;
const QUICK_CONNECTIONS = 200;
const AT_ONCE = 10;
/** How long one connection may take, in milliseconds. */
const PATIENCE_MS = 10_000;

/** What a browser or a test suite does with a port-forward. */
export const shortConnections: Case = {
  name: "short-connections",
  title: `Short TCP connections through one \`kubectl port-forward\`, ${AT_ONCE} at once: connect, one HTTP request, close`,
  inQuick: true,
  plotted: "connections",
  run: async (context) => {
    const service = await LocalService.start();
    try {
      return await measureAll(context, service.port);
    } finally {
      await service.stop();
    }
  },
};

async function measureAll(context: BenchContext, servicePort: number): Promise<Row[]> {
  const { quick, rounds } = context.options;
  const count = quick ? QUICK_CONNECTIONS : CONNECTIONS;
  context.tell(`short-connections: ${count}`);
  const paths = (await context.paths(await context.apiserver())).filter(({ kubeconfig }) => kubeconfig !== undefined);
  const measured = await interleaved(paths, rounds, async ({ kubeconfig = "" }) => {
    const forward = await startPortForward(kubeconfig, context.folder, servicePort);
    try {
      return await inTurns(count, AT_ONCE, () => connectOnce(forward));
    } finally {
      await forward.stop();
    }
  });
  const [straight = []] = measured.values();
  const perSecond = ({ seconds }: { seconds: number }): number => count / seconds;
  return [...measured].map(([path, results]) => ({
    case: shortConnections.name,
    variant: `${count} connections`,
    path: path.name,
    figures: [
      { name: "all", unit: "s", value: medianOf(results, ({ seconds }) => seconds) },
      { name: "connections", unit: "1/s", value: medianOf(results, perSecond) },
    ],
    ratioToDirect: medianOf(results, perSecond) / medianOf(straight, perSecond),
    ...failuresOf(results),
  }));
}

/** @throws Error without a whole answer */
async function connectOnce({ port }: { port: number }): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true, timeout: PATIENCE_MS });
  socket.on("timeout", () => socket.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)));
  socket.write("GET /short HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n");
  const answer = await text(socket);
  if (!answer.startsWith("HTTP/1.1 200 ")) throw new Error(`the answer is ${JSON.stringify(answer.slice(0, 64))}`);
}
