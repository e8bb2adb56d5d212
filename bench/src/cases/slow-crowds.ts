import type { Endpoint } from "../load/endpoint.ts";
import { greedyUpload, type SlowPeer, slowDownload } from "../load/slow-peer.ts";
import { openWatch } from "../load/watches.ts";
import type { Origin } from "../origin/origin.ts";

const UPLOAD_BYTES = 10_000_000_000;
const DOWNLOADS = 100;
const DOWNLOAD_BYTES = 256 * 1024 * 1024;
const WATCHES = 1_000;
/** Watches that are opened at once. */
const WATCHES_AT_ONCE = 20;

/** Peers that have begun what they do. */
export interface OpenCrowd {
  readonly size: number;
  /** Whether {@link bytes} are what was taken from them; else nothing moves. */
  readonly sends: boolean;
  /** Bytes so far, of all. */
  readonly bytes: number;
  /** Why some are no longer there. */
  readonly failures: readonly string[];
  stop(): void;
}

/** Peers of one kind. */
export interface Crowd {
  readonly origin: Origin["name"];
  open(endpoint: Endpoint): Promise<OpenCrowd>;
}

/** All that is measured, by what it is called. */
export const crowds: Readonly<Record<string, Crowd>> = {
  "an upload of 10 GB, read at 1 byte a second": {
    origin: "fast origin",
    open: async (endpoint) => crowdOf([await greedyUpload(endpoint, "/trickle", UPLOAD_BYTES)], true),
  },
  [`${DOWNLOADS} downloads that are never read`]: {
    origin: "fast origin",
    open: async (endpoint) => {
      const target = `/bulk?bytes=${DOWNLOAD_BYTES}`;
      const open = () => slowDownload(endpoint, target, 0);
      return crowdOf(await Promise.all(Array.from({ length: DOWNLOADS }, open)), false);
    },
  },
  [`${WATCHES.toLocaleString("en")} watches`]: { origin: "kube-apiserver", open: openWatches },
};

function crowdOf(peers: readonly SlowPeer[], sends: boolean): OpenCrowd {
  return {
    size: peers.length,
    sends,
    get bytes() {
      return peers.reduce((sum, { bytes }) => sum + bytes, 0);
    },
    get failures() {
      return peers.flatMap(({ failure }) => failure ?? []);
    },
    stop: () => {
      for (const peer of peers) peer.stop();
    },
  };
}

async function openWatches(endpoint: Endpoint): Promise<OpenCrowd> {
  const target = "/api/v1/namespaces/default/configmaps?watch=true";
  const watches: Awaited<ReturnType<typeof openWatch>>[] = [];
  while (watches.length < WATCHES) {
    const batch = Array.from({ length: WATCHES_AT_ONCE }, () => openWatch(endpoint, target));
    watches.push(...(await Promise.all(batch)));
  }
  const cancel = () => {
    for (const watch of watches) watch.cancel();
  };
  return { size: WATCHES, sends: false, bytes: 0, failures: [], stop: cancel };
}
