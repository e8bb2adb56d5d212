import type { Endpoint } from "./endpoint.ts";

interface Timed {
  readonly endpoint: Endpoint;
  /** How long the load runs before it is measured, in milliseconds. */
  readonly warmUpMs: number;
  /** How long it is measured, in milliseconds. */
  readonly measureMs: number;
}

/** Each connection sends its next GET when the answer to the last has come. */
export interface ClosedLoopJob extends Timed {
  readonly kind: "closed loop";
  readonly target: string;
  readonly connections: number;
}

/** GETs at a fixed rate, whether or not answers come; latency counts from when a GET was due. */
export interface OpenLoopJob extends Timed {
  readonly kind: "open loop";
  readonly target: string;
  readonly perSecond: number;
}

/** Each connection downloads as fast as it can. */
export interface DownloadJob extends Timed {
  readonly kind: "download";
  /** What a GET for gives many bytes; it is asked for again and again. */
  readonly target: string;
  readonly connections: number;
}

/** Each connection uploads as fast as it can. */
export interface UploadJob extends Timed {
  readonly kind: "upload";
  readonly target: string;
  readonly connections: number;
  /** How long each body is, in bytes. */
  readonly bodyBytes: number;
  /** The origin itself, which is asked for how much it has got: what is still on the way does not count. */
  readonly origin: Endpoint;
}

/** One person types into an exec. */
export interface ExecEchoJob extends Timed {
  readonly kind: "exec echo";
  /** Path and query of the exec. */
  readonly target: string;
  /** Between an echo and the next key, in milliseconds. */
  readonly pauseMs: number;
}

/** What a load generator can do. */
export type LoadJob = ExecEchoJob | ClosedLoopJob | OpenLoopJob | DownloadJob | UploadJob;

/** What came of a job. */
export interface LoadResult {
  /** How long was measured, in seconds. */
  readonly seconds: number;
  /** Answers within that time. */
  readonly requests: number;
  /** Bytes of bodies within that time. */
  readonly bytes: number;
  /** In milliseconds; NaN becomes null in JSON, so it is 0 where nothing was measured. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** All latencies in milliseconds, of an open loop alone. */
  readonly latenciesMs: readonly number[];
  /** Answers other than 200 and 201, connections lost, and what had no answer when the job was over. */
  readonly failures: number;
  /** The first failure, in words. */
  readonly firstFailure?: string;
}

/** What the load process tells. */
export type LoadMessage =
  | { readonly tell: "ready" }
  | { readonly tell: "measuring" }
  | { readonly tell: "measured" }
  | { readonly tell: "result"; readonly result: LoadResult }
  | { readonly tell: "error"; readonly sentence: string };
