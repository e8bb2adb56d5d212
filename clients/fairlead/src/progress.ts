import { tell } from "./output.ts";

/**
 * Does a step, tells that it goes on where somebody looks, and how long it took when it is done.
 *
 * @param work is given what tells a line of how it goes
 */
export async function step<T>(name: string, work: (told: (line: string) => void) => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const isSeen = process.stderr.isTTY;
  const begin = (): unknown => isSeen && process.stderr.write(`  … ${name}`);
  const tellInPlace = (text: string): void => {
    if (isSeen) process.stderr.write("\r\u001b[K");
    tell(text);
  };
  const told = (line: string): void => {
    tellInPlace(`    ${line}`);
    begin();
  };
  const over = (how: string): void => {
    tellInPlace(`  ${name}${how} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
  };
  begin();
  try {
    const result = await work(told);
    over("");
    return result;
  } catch (error) {
    over(": failed");
    throw error;
  }
}
