import { createInterface } from "node:readline";
import { eventually } from "@fairlead/test/support/eventually";
import { exitOf, spawnBound } from "@fairlead/test/support/program";
import { findTestbedPrograms } from "@fairlead/test/support/testbed-programs";
import { kubectlEnvironment } from "./kubectl-environment.ts";

/** A `kubectl port-forward` that runs. */
export interface PortForward {
  /** Where it listens on 127.0.0.1. */
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Starts the real kubectl with a port-forward to the test bed's pod p1.
 *
 * @param folder where kubectl finds its home
 * @param servicePort what it leads to: a port of this machine, which the pod's is
 * @throws Error if it does not listen
 */
export async function startPortForward(kubeconfig: string, folder: string, servicePort: number): Promise<PortForward> {
  const { kubectl } = await findTestbedPrograms();
  const args = ["port-forward", "--namespace", "default", "pod/p1", `:${servicePort}`];
  const env = kubectlEnvironment(kubeconfig, folder);
  const child = spawnBound({ file: kubectl, args }, { env, stdio: ["ignore", "pipe", "ignore"] });
  const exited = exitOf(child);
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited.catch(() => undefined);
  };
  let port = 0;
  if (child.stdout) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      port = Number(/^Forwarding from 127\.0\.0\.1:(\d+) ->/.exec(line)?.[1] ?? port);
    });
  }
  try {
    await eventually(() => port > 0, { what: "kubectl port-forward's port" });
    return { port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
