import { createServer, type Server } from "node:http";
import { Counter, Gauge, Registry } from "prom-client";
import { EventLoopStall } from "./event-loop-stall.ts";

/** What the private port tells about its process. */
export interface Observed {
  /** Why the process cannot serve; undefined if it can. */
  notReady(): string | undefined;
  /** Current counts by name, such as `lanes`; exposed as `fairlead_NAME`. */
  counts(): Record<string, number>;
  /** What has happened since the process started. */
  totals?(): readonly Total[];
}

/** How often something has happened, by kind; exposed as `fairlead_NAME_total{LABEL="KIND"}`. */
export interface Total {
  /** What happened, such as `refused_exchanges`. */
  name: string;
  /** By what the kinds differ, such as `limit`. */
  label: string;
  /** How often so far, by kind. All kinds are there from the start, those that never happened with 0. */
  values: Readonly<Record<string, number>>;
}

/**
 * A port for the machine's own eyes: `/healthz` (the process lives), `/readyz` (it can serve) and `/metrics`
 * (Prometheus). It has no authentication: bind it to loopback or to the pod's network only.
 *
 * @param listen `host:port`
 * @returns the server, listening
 */
export async function openPrivatePort(listen: string, observed: Observed): Promise<Server> {
  const registry = metricsOf(observed);
  const server = createServer((request, response) => {
    const problem = observed.notReady();
    if (request.url === "/healthz") response.end("ok\n");
    else if (request.url === "/readyz") response.writeHead(problem ? 503 : 200).end(`${problem ?? "ok"}\n`);
    else if (request.url === "/metrics") {
      registry.metrics().then((text) => response.setHeader("Content-Type", registry.contentType).end(text));
    } else response.writeHead(404).end("paths: /healthz /readyz /metrics\n");
  });
  const [host, port] = splitAddress(listen);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(port, host, resolve);
  await promise;
  return server;
}

function metricsOf(observed: Observed): Registry {
  const registry = new Registry();
  observeStalls(registry);
  for (const name of Object.keys(observed.counts())) {
    new Gauge({
      name: `fairlead_${name}`,
      help: `How many ${name.replaceAll("_", " ")} there are now.`,
      registers: [registry],
      collect() {
        this.set(observed.counts()[name] ?? 0);
      },
    });
  }
  for (const { name, label } of observed.totals?.() ?? []) {
    new Counter({
      name: `fairlead_${name}_total`,
      help: `How many ${name.replaceAll("_", " ")} there were since the start, by ${label}.`,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset(); // the counting is done where it happens; here it is only told
        const total = observed.totals?.().find((other) => other.name === name);
        for (const [kind, value] of Object.entries(total?.values ?? {})) this.inc({ [label]: kind }, value);
      },
    });
  }
  return registry;
}

/** Whoever reads it begins the next span: it is for one reader. */
function observeStalls(registry: Registry): void {
  const stall = new EventLoopStall();
  new Gauge({
    name: "fairlead_event_loop_stall_max_milliseconds",
    help: "The longest time for which the event loop stood still since this was last read.",
    registers: [registry],
    collect() {
      this.set(stall.takeLongestMs());
    },
  });
}

/** Splits `host:port`; IPv6 hosts stand in brackets; no host: all addresses. @throws Error if it is not of that form */
export function splitAddress(address: string): [host: string, port: number] {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(address);
  if (match === null || Number(match[3]) > 65_535)
    throw new Error(`${address}: an address is HOST:PORT, such as 127.0.0.1:8443, or :PORT for all addresses`);
  return [match[1] ?? match[2] ?? "", Number(match[3])];
}
