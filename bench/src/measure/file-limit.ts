import { readFileSync } from "node:fs";

/** How many files a process of the bench may have open; it hands that on to those that it starts. */
export function openFilesLimit(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
}
