import type { Origin } from "../origin/origin.ts";
import type { Path } from "./path.ts";

/** No tunnel at all: what every other path is compared with. */
export function direct({ endpoint, kubeconfig }: Origin): Path {
  return { name: "direct", endpoint, kubeconfig, processes: {}, stop: async () => {} };
}
