/**
 * How node is to run our processes, which move buffers and keep little. By itself V8 lets garbage buffers pile up until
 * its young generation is full, 16 MiB of small objects later, and takes them for growth of the heap: bulk transfers
 * then spend half of their CPU time in full collections. A small young generation is collected early, while buffers
 * are still in the cache, and an old generation that may be large from the start is not collected for them (ADR 10).
 * The first line of each main.ts says the same.
 */
export const NODE_FLAGS: readonly string[] = ["--initial-old-space-size=96", "--max-semi-space-size=2"];
