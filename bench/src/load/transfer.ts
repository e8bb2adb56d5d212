import { request } from "node:https";
import { text } from "node:stream/consumers";
import { type Endpoint, requestBytes } from "./endpoint.ts";
import { LoadConnection } from "./load-connection.ts";
import type { DownloadJob, LoadResult, UploadJob } from "./load-job.ts";
import { measurePhases, type PhaseListener } from "./phases.ts";
import { Tally } from "./tally.ts";

const CHUNK = Buffer.alloc(256 * 1024, "x");

/** Downloads on all connections; what comes within the time counts. What is underway then is cut. */
export async function runDownload(job: DownloadJob, listener: PhaseListener): Promise<LoadResult> {
  const tally = new Tally();
  const bytes = requestBytes(job.endpoint, "GET", job.target);
  const connections = await openAll(job, tally, (connection) => void connection.socket.write(bytes));
  try {
    await measurePhases(job, tally, listener);
    return tally.result();
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Uploads on all connections; what the origin gets within the time counts. What is underway then is cut. */
export async function runUpload(job: UploadJob, listener: PhaseListener): Promise<LoadResult> {
  const tally = new Tally();
  const more = { "Content-Type": "application/octet-stream", "Content-Length": String(job.bodyBytes) };
  const head = requestBytes(job.endpoint, "POST", job.target, more);
  const connections = await openAll(job, tally, (connection) => sendBody(connection, head, job.bodyBytes));
  const seen: { bytes: number; atMs: number }[] = [];
  try {
    await measurePhases(job, tally, listener, async () => {
      seen.push(await askReceived(job.origin));
    });
    const [before, after] = seen;
    if (!before || !after) throw new Error("the origin did not say how much it has got");
    return { ...tally.result(), bytes: after.bytes - before.bytes, seconds: (after.atMs - before.atMs) / 1_000 };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** @param begin starts the next request on a connection */
async function openAll(
  job: DownloadJob | UploadJob,
  tally: Tally,
  begin: (connection: LoadConnection) => void,
): Promise<readonly LoadConnection[]> {
  const open = async (): Promise<LoadConnection> => {
    const connection = await LoadConnection.open(job.endpoint, {
      onBody: (bytes) => {
        if (tally.isOn) tally.bytes += bytes;
      },
      onAnswer: (isGood, statusLine) => {
        if (isGood) begin(connection);
        else tally.failed(statusLine);
      },
      onLost: (reason) => tally.failed(reason),
    });
    return connection;
  };
  const connections = await Promise.all(Array.from({ length: job.connections }, open));
  for (const connection of connections) begin(connection);
  return connections;
}

function sendBody({ socket }: LoadConnection, head: Buffer, bodyBytes: number): void {
  let left = bodyBytes;
  const write = (): void => {
    while (left > 0 && !socket.destroyed) {
      const chunk = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      left -= chunk.length;
      if (!socket.write(chunk)) {
        socket.once("drain", write);
        return;
      }
    }
  };
  socket.write(head);
  write();
}

/** How many bytes of bodies an origin has got, and when by its own clock. */
async function askReceived({ host, port, tls }: Endpoint): Promise<{ bytes: number; atMs: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const outgoing = request({ host, port, path: "/received", ...tls }, (answer) => text(answer).then(resolve, reject));
  outgoing.on("error", reject).end();
  const { bytes, atMs } = Object(JSON.parse(await promise));
  return { bytes: Number(bytes), atMs: Number(atMs) };
}
