/** What came of something done many times. */
export interface Turns {
  readonly seconds: number;
  readonly failures: number;
  readonly firstFailure?: string;
}

/** Does something many times, some at once. @param act what fails counts, and the next follows */
export async function inTurns(times: number, atOnce: number, act: () => Promise<void>): Promise<Turns> {
  let left = times;
  const failed: string[] = [];
  const work = async (): Promise<void> => {
    while (left-- > 0) await act().catch((error: Error) => void failed.push(error.message));
  };
  const beganMs = performance.now();
  await Promise.all(Array.from({ length: atOnce }, work));
  const seconds = (performance.now() - beganMs) / 1_000;
  const [firstFailure] = failed;
  return { seconds, failures: failed.length, ...(firstFailure !== undefined && { firstFailure }) };
}
