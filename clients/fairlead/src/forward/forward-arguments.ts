import { isServiceLabel, type ServicePort } from "@fairlead/authorization";
import { misuse } from "../misuse.ts";

/** A port of this machine, and the Service's port that it leads to. */
export interface PortPair {
  /** 0 for any that is free. */
  local: number;
  remote: number;
}

/**
 * Reads which Service is meant, as kubectl writes it and as DNS in the cluster does.
 *
 * @param text `svc/NAME` or `svc/NAME.NAMESPACE`
 * @param namespace by `--namespace`; undefined for the namespace `default`
 * @throws FairleadError MALFORMED_REQUEST
 */
export function parseService(text: string, namespace: string | undefined): Omit<ServicePort, "port"> {
  const [, rest] = /^(?:svc|services?)\/(.+)$/.exec(text) ?? [];
  if (rest === undefined) {
    throw misuse(`${text} is no Service; write svc/NAME, and for a pod use kubectl port-forward by \`fairlead proxy\``);
  }
  const [name = "", own, ...more] = rest.split(".");
  const isName = more.length === 0 && [name, own ?? "x", namespace ?? "x"].every(isServiceLabel);
  if (!isName) throw misuse(`${text} is not a Service of a namespace; write svc/NAME or svc/NAME.NAMESPACE`);
  if (own !== undefined && namespace !== undefined && own !== namespace) {
    throw misuse(`${text} is of the namespace ${own}, and --namespace is ${namespace}; leave one of them out`);
  }
  return { namespace: own ?? namespace ?? "default", name };
}

/** Reads `PORT`, `LOCAL:PORT`, or `:PORT` for any local port. @throws FairleadError MALFORMED_REQUEST */
export function parsePorts(text: string): PortPair {
  const [, local, remote = ""] = /^(?:(\d*):)?(\d+)$/.exec(text) ?? [];
  const pair = { local: Number(local ?? remote), remote: Number(remote) };
  if (remote !== "" && pair.remote >= 1 && pair.remote <= 65_535 && pair.local <= 65_535) return pair;
  throw misuse(`${text} is no port; write PORT, LOCAL:PORT, or :PORT for any local one, each at most 65535`);
}
