import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";
import { ApiException, KubeConfig } from "@kubernetes/client-node";
import { misuse } from "../misuse.ts";
import { parsed } from "./parsed.ts";

/**
 * How an operator reaches a cluster.
 *
 * @param file the kubeconfig; undefined for $KUBECONFIG, ~/.kube/config, or in a pod its service account
 * @param context its context; undefined for the current one
 * @throws FairleadError MALFORMED_REQUEST if it names no cluster
 */
export function clusterConfig(file: string | undefined, context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    if (file === undefined) config.loadFromDefault();
    else config.loadFromFile(file);
    if (context !== undefined) config.setCurrentContext(context);
    if (!config.getCurrentCluster()) throw new Error(`there is no context ${config.getCurrentContext()}`);
    return config;
  } catch (cause) {
    const sentence = `which cluster? ${file ?? "your kubeconfig"} cannot be used: ${messageOf(cause)}; give --kubeconfig and --context`;
    throw misuse(sentence, cause);
  }
}

/** What the apiserver said, or why it could not be asked. @param who the cluster, as the sentence names it */
export function refused(cause: unknown, who = "the cluster"): FairleadError {
  if (cause instanceof ApiException) {
    const said = Object(parsed(cause.body)).message ?? `HTTP status ${cause.code}`;
    return new FairleadError(ErrorCode.ACCESS_DENIED, Hop.APISERVER, `${who} refuses: ${said}`, { cause });
  }
  const sentence = `${who} cannot be reached with your kubeconfig: ${messageOf(cause)}`;
  return new FairleadError(ErrorCode.UNREACHABLE, Hop.APISERVER, sentence, { cause });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
