import type { Logger } from "@fairlead/service";

/** How often is looked what another relay of the database has changed, in milliseconds. */
const LOOK_MS = 2_000;

/** What is kept in memory of the database. */
interface Kept {
  /** Reads it anew. */
  reload(): Promise<void>;
}

/**
 * Keeps what is in memory as it is in the database, for as long as another relay may change it: while the one takes the
 * other's place. What is removed there, a rule or a cluster, ends here within 2 s.
 *
 * @param changed what was read anew is judged anew
 * @returns ends it
 */
export function keepUp(kept: readonly Kept[], changed: () => void, log: Logger): () => void {
  let isTold = false;
  const look = async (): Promise<void> => {
    try {
      for (const each of kept) await each.reload();
      isTold = false;
      changed();
    } catch (err) {
      if (!isTold) log.error({ err }, "the database cannot be read; what is known of it goes on to count");
      isTold = true;
    }
  };
  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void look().finally(() => {
      isLooking = false;
    });
  }, LOOK_MS);
  return () => clearInterval(timer);
}
