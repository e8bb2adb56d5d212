import { createServer, type Server } from "node:http";
import { Gauge, Registry } from "prom-client";

/** What the private port tells about its process. */
export interface Observed {
  /** Why the process cannot serve; undefined if it can. */
  notReady(): string | undefined;
  /** Current counts by name, such as `lanes`; exposed as `fairlead_NAME`. */
  counts(): Record<string, number>;
}

/**
 * A port for the machine's own eyes: `/healthz` (the process lives), `/readyz` (it can serve) and `/metrics`
 * (Prometheus). It has no authentication: bind it to loopback or to the pod's network only.
 *
 * @param listen `host:port`
 * @returns the server, listening
 */
export async function openPrivatePort(listen: string, observed: Observed): Promise<Server> {
  const registry = new Registry();
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

/** Splits `host:port`; IPv6 hosts stand in brackets. @throws Error if it is not of that form */
export function splitAddress(address: string): [host: string, port: number] {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(address);
  if (match === null || Number(match[3]) > 65_535)
    throw new Error(`${address}: an address is HOST:PORT, such as 127.0.0.1:8443`);
  return [match[1] ?? match[2] ?? "", Number(match[3])];
}
