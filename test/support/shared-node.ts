import { RealNode } from "./real-node.ts";

let shared: Promise<RealNode> | undefined;

/** The node that all suites of a test file share, which each leaves as it was: started when the first one asks. */
export function sharedNode(): Promise<RealNode> {
  shared ??= RealNode.start();
  return shared;
}

/** Ends it. */
export async function stopSharedNode(): Promise<void> {
  await (await shared)?.stop();
}
