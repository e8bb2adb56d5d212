import { exchangeIdText, FairleadError, hopName } from "@fairlead/protocol";
import { type Logger, pino } from "pino";
import { type Observed, openPrivatePort } from "./private-port.ts";

/** A service that has started. */
export interface RunningService extends Observed {
  /** What the process prints, as one line of JSON on standard output, when it is ready. */
  ready: Record<string, unknown>;
  /** Takes nothing new, lets what is under way end within `graceMs`, and closes all. */
  stop(graceMs: number): Promise<void>;
}

/** What each service process is told by its command line. */
export interface ProcessOptions {
  /** `host:port` of the private port; none if undefined. */
  private?: string | undefined;
  /** How long exchanges may go on after SIGTERM, in milliseconds. */
  graceMs: number;
}

/**
 * Runs a service as this process: logs JSON to standard error, says on standard output when it is ready, stops in
 * good order on SIGTERM and SIGINT, and exits 1 with one sentence if it cannot start.
 *
 * @param name the service's name in the log
 * @param start starts it
 */
export async function runService(
  name: string,
  options: ProcessOptions,
  start: (log: Logger) => Promise<RunningService>,
): Promise<void> {
  const level = process.env.FAIRLEAD_LOG_LEVEL ?? "info";
  const serializers = { exchange: exchangeIdText }; // written only when the line is
  const log = pino({ name, level, serializers }, pino.destination({ fd: 2, sync: true }));
  process.on("unhandledRejection", (error) => {
    log.fatal({ err: error }, "unhandled rejection");
    process.exit(1);
  });
  try {
    refuseUnverifiedTls();
    const service = await start(log);
    const privatePort = options.private ? await openPrivatePort(options.private, service) : undefined;
    const address = privatePort?.address();
    const own = typeof address === "object" && address ? { private: `http://${address.address}:${address.port}` } : {};
    stopOnSignals(service, options.graceMs, log);
    process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, ...own, ...service.ready })}\n`);
  } catch (error) {
    const sentence = error instanceof FairleadError ? `${hopName(error.hop)}: ${error.message}` : String(error);
    log.fatal({ err: error }, `${name} cannot start: ${sentence}`);
    process.exit(1);
  }
}

/** node would then believe any certificate, for every connection of the process. @throws Error if it is set so */
export function refuseUnverifiedTls(): void {
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === "0") {
    throw new Error("NODE_TLS_REJECT_UNAUTHORIZED=0 turns off all verification of certificates; unset it");
  }
}

function stopOnSignals(service: RunningService, graceMs: number, log: Logger): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1); // asked twice: at once
    stopping = true;
    log.info({ signal, graceMs }, "stopping");
    service
      .stop(graceMs)
      .catch((error: unknown) => log.error({ err: error }, "did not stop in good order"))
      .finally(() => process.exit(0));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  whenParentIsGone(() => stop("SIGHUP"));
}

/**
 * A process that another one keeps must not outlive it. Where FAIRLEAD_EXIT_WITH_STDIN is set, the end of standard
 * input says that the parent is gone, however it ended.
 */
export function whenParentIsGone(stop: () => void): void {
  if (process.env.FAIRLEAD_EXIT_WITH_STDIN === undefined) return;
  process.stdin.resume().once("end", stop).once("error", stop);
}
