/** Tells a person what goes on, on standard error: standard output is for the answer. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Does a step and says how long it took. */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const show = process.stderr.isTTY;
  if (show) process.stderr.write(`  … ${name}`);
  const result = await work();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  tell(`${show ? "\r\u001b[K" : ""}  ✓ ${name} (${seconds} s)`);
  return result;
}
