import { kubectlEnvironment } from "./kubectl-environment.ts";
import { type ListeningKubectl, startListeningKubectl } from "./listening-kubectl.ts";

/**
 * Starts the real kubectl with a port-forward to the test bed's pod p1.
 *
 * @param folder where kubectl finds its home
 * @param servicePort what it leads to: a port of this machine, which the pod's is
 * @throws Error if it does not listen
 */
export function startPortForward(kubeconfig: string, folder: string, servicePort: number): Promise<ListeningKubectl> {
  const args = ["port-forward", "--namespace", "default", "pod/p1", `:${servicePort}`];
  const env = kubectlEnvironment(kubeconfig, folder);
  return startListeningKubectl(args, { env }, /^Forwarding from 127\.0\.0\.1:(\d+) ->/);
}
