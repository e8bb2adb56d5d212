import { jest } from "@jest/globals";
import * as fc from "fast-check";

/*
 * The one way in which properties are tried on made-up input. As it is, each is tried in so many rounds, with the same
 * seed each time: what did not touch the code cannot turn CI red. For a longer search:
 *
 * - FAIRLEAD_FUZZ_SECONDS: how long each property is tried, in seconds, from a new seed. The rounds made are told.
 * - FAIRLEAD_FUZZ_SEED: the seed instead, as a failure names it. Rounds that were many need the seconds again.
 */
export { fc };

const SEED = 20_261_124;
/** How long one round may take, in milliseconds, where it waits for something. */
const ROUND_MS = 10_000;
/** When a failure is not made smaller any more, in milliseconds: before the test's own end, which would not tell it. */
const MOST_MS = 15_000;
/** What a test may take beside its rounds, in milliseconds: servers that start, a failure that is made smaller. */
const BESIDE_MS = 60_000;

const seconds = Number(process.env.FAIRLEAD_FUZZ_SECONDS ?? 0);
const seed = Number(process.env.FAIRLEAD_FUZZ_SEED ?? (seconds > 0 ? Date.now() % 2 ** 31 : SEED));

// Said once for a whole file, as it is imported: no test of it is to be ended within its time.
if (seconds > 0) jest.setTimeout(seconds * 1_000 + BESIDE_MS);

/**
 * Tries a property.
 *
 * @param rounds how often, where the environment gives no time
 * @throws Error with the seed and the smallest input found that fails
 */
export async function fuzz<Input>(rounds: number, property: fc.IRawProperty<Input>): Promise<void> {
  const bounds =
    seconds > 0
      ? { numRuns: Number.POSITIVE_INFINITY, interruptAfterTimeLimit: seconds * 1_000 }
      : { numRuns: rounds, interruptAfterTimeLimit: MOST_MS };
  const outcome = await fc.check(property, { ...bounds, seed, timeout: ROUND_MS });
  if (outcome.failed) {
    const { errorInstance: cause } = outcome;
    const reason = cause instanceof Error ? cause.message : String(cause ?? "no round was made");
    throw new Error(`${await fc.asyncDefaultReportMessage(outcome)}\n\n${reason}`, { cause });
  }
  if (seconds > 0) console.info(`${outcome.numRuns} rounds from the seed ${seed}`);
}

/**
 * Lists that were good and are changed in one to three places: something is put in, taken out, put in something's place,
 * or there twice; the end is cut off.
 *
 * @param good what is changed; bytes, frames, characters
 * @param pieces what is put in
 */
export function mutated<T>(good: fc.Arbitrary<readonly T[]>, pieces: fc.Arbitrary<readonly T[]>): fc.Arbitrary<T[]> {
  const over = fc.oneof(
    { weight: 3, arbitrary: fc.constant("as much" as const) },
    { weight: 5, arbitrary: fc.integer({ min: -6, max: 6 }) },
    { weight: 1, arbitrary: fc.integer({ min: -1_000, max: 1_000 }) },
  );
  const change: fc.Arbitrary<Change<T>> = fc.record({ at: fc.noBias(fc.nat()), over, put: pieces });
  const changes = fc.array(change, { minLength: 1, maxLength: 3 });
  return fc.tuple(good, changes).map(([parts, all]) => all.reduce<T[]>(changed, [...parts]));
}

/** The same of text of one character a byte. @param pieces what is put in, beside some bytes of any value */
export function mutatedText(good: fc.Arbitrary<string>, pieces: readonly string[]): fc.Arbitrary<string> {
  const byte = fc.nat({ max: 255 }).map((code) => String.fromCharCode(code));
  const put = fc.oneof(fc.constantFrom(...pieces.map((piece) => [...piece])), fc.array(byte, { maxLength: 3 }));
  return mutated(
    good.map((text) => [...text]),
    put,
  ).map((characters) => characters.join(""));
}

interface Change<T> {
  at: number;
  /** How many are taken away for what is put in; less than none: those before it are there again. */
  over: number | "as much";
  put: readonly T[];
}

function changed<T>(parts: readonly T[], { at, over, put }: Change<T>): T[] {
  const from = at % (parts.length + 1);
  const to = from + (over === "as much" ? put.length : over);
  return [...parts.slice(0, from), ...put, ...parts.slice(Math.max(0, to))];
}
