import { runClosedLoop } from "./closed-loop.ts";
import { runExecEcho } from "./exec-echo.ts";
import type { LoadJob, LoadMessage, LoadResult } from "./load-job.ts";
import { runOpenLoop } from "./open-loop.ts";
import type { PhaseListener } from "./phases.ts";
import { runDownload, runUpload } from "./transfer.ts";

/* The load generator's own process: it does what it is told by its parent, one job at a time. */

const tell = (message: LoadMessage): void => void process.send?.(message);
const listener: PhaseListener = {
  onMeasuring: () => tell({ tell: "measuring" }),
  onMeasured: () => tell({ tell: "measured" }),
};

function run(job: LoadJob): Promise<LoadResult> {
  switch (job.kind) {
    case "closed loop":
      return runClosedLoop(job, listener);
    case "open loop":
      return runOpenLoop(job, listener);
    case "download":
      return runDownload(job, listener);
    case "exec echo":
      return runExecEcho(job, listener);
    case "upload":
      return runUpload(job, listener);
  }
}

process.on("message", (job: LoadJob) => {
  run(job).then(
    (result) => tell({ tell: "result", result }),
    (error: Error) => tell({ tell: "error", sentence: error.message }),
  );
});
process.on("disconnect", () => process.exit());
tell({ tell: "ready" });
