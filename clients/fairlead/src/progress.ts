import { tell } from "./output.ts";

/** Does a step, tells that it goes on where somebody looks, and how long it took when it is done. */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const isSeen = process.stderr.isTTY;
  if (isSeen) process.stderr.write(`  … ${name}`);
  const over = (how: string): void => {
    if (isSeen) process.stderr.write("\r\u001b[K");
    tell(`  ${name}${how} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  };
  try {
    const result = await work();
    over("");
    return result;
  } catch (error) {
    over(": failed");
    throw error;
  }
}
