/** What a version of ours looks like (semver.org 2.0.0): three numbers, and perhaps a pre-release. */
const VERSION = /^(\d+)\.(\d+)\.(\d+)(-[\w.-]+)?(\+[\w.-]+)?$/;

/** Whether a text is a version, such as `0.1.0`. */
export function isVersion(text: string): boolean {
  return VERSION.test(text);
}

/**
 * Whether a version is older than another. A pre-release is older than its release, and as old as another pre-release.
 * What is no version counts as the oldest.
 *
 * @param oldest what it is to be at least; empty if any will do
 */
export function isOlder(version: string, oldest: string): boolean {
  if (oldest === "") return false;
  const [own, due] = [partsOf(version), partsOf(oldest)];
  const differs = own.findIndex((part, i) => part !== due[i]);
  return differs >= 0 && (own[differs] ?? 0) < (due[differs] ?? 0);
}

/** Its three numbers, and 0 for a pre-release, 1 for a release. */
function partsOf(version: string): number[] {
  const [, major, minor, patch, preRelease] = VERSION.exec(version) ?? [];
  if (major === undefined) return [-1];
  return [Number(major), Number(minor), Number(patch), preRelease === undefined ? 1 : 0];
}
