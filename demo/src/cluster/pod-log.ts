import { type ApiRequest, writeChunk } from "./api-request.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import type { LogBook, LogLine, LogRing } from "./log-book.ts";
import { containerNames } from "./pods.ts";
import { isTrue } from "./request-target.ts";
import { StatusError } from "./status.ts";

/**
 * Answers `pods/log`. The reader's place in the ring is its only state, so a reader that stops reading for
 * hours costs nothing.
 * @throws StatusError BadRequest for an unknown container, or for the log of a previous one
 * @see https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
 */
export async function answerPodLog(request: ApiRequest, book: LogBook, pod: KubernetesObject): Promise<void> {
  const { response, url, signal } = request;
  const query = url.searchParams;
  const container = chosenContainer(pod, query.get("container"));
  if (isTrue(query.get("previous"))) {
    const message = `previous terminated container "${container}" in pod "${pod.metadata.name}" not found`;
    throw new StatusError("BadRequest", message);
  }
  const ring = book.ring(pod.metadata.uid, container);
  const sinceMs = earliestMs(query);
  let budget = Number(query.get("limitBytes")) || Number.POSITIVE_INFINITY;
  response.writeHead(200, { "content-type": "text/plain", "cache-control": "no-cache, private" });
  response.flushHeaders();
  for await (const line of linesOf(ring, book, firstPosition(ring, query), isTrue(query.get("follow")), signal)) {
    if (line.timeMs < sinceMs) continue;
    const stamp = isTrue(query.get("timestamps")) ? `${new Date(line.timeMs).toISOString()} ` : "";
    const text = `${stamp}${line.text}\n`.slice(0, budget);
    budget -= text.length;
    await writeChunk(response, text, signal);
    if (budget <= 0) break;
  }
  response.end();
}

/**
 * The container a log or exec request means: the named one, or the pod's first.
 * @throws StatusError BadRequest when the pod has no such container
 */
export function chosenContainer(pod: KubernetesObject, asked: string | null): string {
  const names = containerNames(pod);
  const chosen = asked || names[0] || "";
  if (!names.includes(chosen)) {
    throw new StatusError("BadRequest", `container ${chosen} is not valid for pod ${pod.metadata.name}`);
  }
  return chosen;
}

async function* linesOf(
  ring: LogRing,
  book: LogBook,
  start: number,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void> {
  let position = start;
  while (!signal.aborted) {
    const found = ring.lineFrom(position);
    if (found) {
      position = found.next;
      yield found.line;
    } else if (follow && !ring.closed) await book.written.wait(signal);
    else return;
  }
}

function firstPosition(ring: LogRing, query: URLSearchParams): number {
  const tail = query.get("tailLines");
  return tail === null ? 0 : Math.max(0, ring.end - Number(tail));
}

function earliestMs(query: URLSearchParams): number {
  const seconds = query.get("sinceSeconds");
  if (seconds !== null) return Date.now() - Number(seconds) * 1000;
  return Date.parse(query.get("sinceTime") ?? "") || 0;
}
