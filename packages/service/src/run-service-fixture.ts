import { runService } from "./run-service.ts";

/** A service for the tests: what it does is the word after the file's name. */
const [what = "", listen] = process.argv.slice(2);

await runService("fixture", { private: listen, graceMs: 1_500 }, async (log) => {
  if (what === "cannot-start") throw new Error("the port is taken");
  const beat = setInterval(() => {}, 1_000);
  if (what === "rejects") setImmediate(() => void Promise.reject(new Error("nobody caught this")));
  return {
    ready: { url: "https://127.0.0.1:1" },
    notReady: () => undefined,
    counts: () => ({ lanes: 1 }),
    stop: async (graceMs) => {
      log.info({ stoppedWithin: graceMs }, "stop was called");
      if (what === "fails-to-stop") throw new Error("a lane is stuck");
      if (what === "never-stops") await new Promise(() => {});
      clearInterval(beat);
    },
  };
});
