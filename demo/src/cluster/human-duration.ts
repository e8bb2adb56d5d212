/**
 * Prints the age of something as kubectl does.
 * @param sinceIso RFC 3339 time; anything else gives "<unknown>"
 * @see https://github.com/kubernetes/apimachinery/blob/v0.36.0/pkg/util/duration/duration.go
 */
export function ageOf(sinceIso: string): string {
  const sinceMs = Date.parse(sinceIso);
  return Number.isNaN(sinceMs) ? "<unknown>" : humanDuration(Date.now() - sinceMs);
}

function humanDuration(elapsedMs: number): string {
  const seconds = Math.max(0, Math.floor(elapsedMs / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return twoUnits(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return twoUnits(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  return days < 8 ? twoUnits(days, "d", hours % 24, "h") : `${days}d`;
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}
