import type { Lane } from "./lane.ts";

/** How many idle lanes are kept for as long as they live. */
export const IDLE_LANES = 2;
/** How long a lane beyond those is kept idle, in milliseconds. */
const SURPLUS_LANE_MS = 10_000;

/**
 * The lanes of one peer that have no exchange. They are taken last in, first out: the one that was used last is the
 * warmest, and the others fall idle for long enough to be ended.
 */
export class IdleLanes {
  readonly #idle: { lane: Lane; sinceMs: number }[] = [];
  readonly #ended: (lane: Lane) => void;
  readonly #trim = setInterval(() => this.#endSurplus(), SURPLUS_LANE_MS / 2);
  /** Lanes whose peer is stopping: they are ended as they fall idle. */
  readonly #retired = new WeakSet<Lane>();

  /** @param ended hears of a lane that is ended as one too many; it closes when the peer has ended it too */
  constructor(ended: (lane: Lane) => void) {
    this.#ended = ended;
  }

  get count(): number {
    return this.#idle.length;
  }

  /** A lane that is still open; undefined if none is. From then on it is the caller's. */
  take(): Lane | undefined {
    for (let entry = this.#idle.pop(); entry; entry = this.#idle.pop()) if (!entry.lane.closed) return entry.lane;
    return undefined;
  }

  /** Takes a lane in that has no exchange, or none any more. */
  keep(lane: Lane): void {
    // No frame is legal between exchanges: the lane's order refuses it.
    lane.start({ frame: () => {}, drained: () => {}, idle: () => {}, closed: () => {} });
    lane.resume();
    if (this.#retired.has(lane)) return this.#end(lane);
    this.#idle.push({ lane, sinceMs: Date.now() });
  }

  /** A lane is gone, or is to be taken by nobody. */
  forget(lane: Lane): void {
    const at = this.#idle.findIndex((entry) => entry.lane === lane);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** The lanes' peer is stopping: those that are idle are ended now, and the others when they are kept. */
  retire(lanes: Iterable<Lane>): void {
    for (const lane of lanes) this.#retired.add(lane);
    for (const { lane } of this.#idle.filter(({ lane }) => this.#retired.has(lane))) this.#end(lane);
  }

  /** Ends no lanes any more. */
  stop(): void {
    clearInterval(this.#trim);
  }

  #endSurplus(): void {
    const before = Date.now() - SURPLUS_LANE_MS;
    const surplus = this.#idle
      .filter(({ sinceMs }) => sinceMs < before)
      .slice(0, Math.max(0, this.#idle.length - IDLE_LANES));
    for (const { lane } of surplus) this.#end(lane);
  }

  #end(lane: Lane): void {
    this.forget(lane);
    this.#ended(lane);
    lane.end();
  }
}
