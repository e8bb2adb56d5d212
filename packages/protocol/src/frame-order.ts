import { type DescMessage, type DescOneof, getOption, hasOption } from "@bufbuild/protobuf";
import { order } from "./gen/fairlead/stream/v1alpha1/order_pb.ts";

/** Words of the grammar that are not frames. */
const START = "start";
const IDLE = "idle";

/**
 * The legal order of one direction of a stream, compiled from the `order` options of its message's oneof.
 * States are field numbers; 0 is `start`.
 */
export class FrameOrder {
  /** The message's type name, for error sentences. */
  readonly typeName: string;
  /** Frames that may follow, by the frame before. */
  readonly #next: ReadonlyMap<number, ReadonlySet<number>>;
  readonly #names: ReadonlyMap<number, string>;
  readonly #ending: ReadonlySet<number>;

  /**
   * @param message a message with exactly one oneof that carries the `order` option
   * @throws Error if the grammar is missing, does not parse, or names an unknown or unreachable frame
   */
  constructor(message: DescMessage) {
    this.typeName = message.typeName;
    const oneof = theOneof(message);
    const steps = parseSteps(message, oneof);
    this.#names = new Map(oneof.fields.map((field) => [field.number, field.name]));
    const numbers = new Map(oneof.fields.map((field) => [field.name, field.number]));
    const follow = (name: string) => new Set(resolveIdle(steps, name).map((to) => numbers.get(to) ?? 0));
    this.#next = new Map([[0, follow(START)], ...oneof.fields.map((f) => [f.number, follow(f.name)] as const)]);
    refuseUnreachable(message, oneof, this.#next);
    // A frame before the first `idle`, such as `ready`, leads to it and is no part of an exchange.
    const ofExchanges = reachable(this.#next, follow(IDLE));
    const endings = oneof.fields.filter((f) => steps.get(f.name)?.includes(IDLE) && ofExchanges.has(f.number));
    this.#ending = new Set(endings.map((f) => f.number));
  }

  /** Whether frame `to` may come after frame `from` (0: nothing came yet). */
  allows(from: number, to: number): boolean {
    return this.#next.get(from)?.has(to) ?? false;
  }

  /** Whether this frame is the last of its direction of an exchange. */
  ends(frame: number): boolean {
    return this.#ending.has(frame);
  }

  /** A frame's field name. */
  nameOf(frame: number): string {
    return frame === 0 ? START : (this.#names.get(frame) ?? `field ${frame}`);
  }

  /** Whether the field number is one of the message's frames. */
  knows(frame: number): boolean {
    return this.#names.has(frame);
  }
}

function theOneof(message: DescMessage): DescOneof {
  const ordered = message.oneofs.filter((oneof) => hasOption(oneof, order));
  const [oneof] = ordered;
  if (oneof === undefined || ordered.length > 1 || message.fields.some((field) => field.oneof !== oneof)) {
    throw new Error(`${message.typeName}: a stream's message is one oneof with the order option and nothing else`);
  }
  return oneof;
}

function parseSteps(message: DescMessage, oneof: DescOneof): Map<string, string[]> {
  const known = new Set([START, IDLE, ...oneof.fields.map((field) => field.name)]);
  const steps = new Map<string, string[]>();
  for (const line of getOption(oneof, order)) {
    const match = /^(\w+) -> (\w+(?: \w+)*)$/.exec(line);
    if (match === null) throw new Error(`${message.typeName}: cannot read the order "${line}"`);
    const [, from = "", to = ""] = match;
    for (const name of [from, ...to.split(" ")]) {
      if (!known.has(name)) throw new Error(`${message.typeName}: the order "${line}" names the unknown frame ${name}`);
    }
    const wrong = to.split(" ").find((name) => name === START || (name === IDLE && from === IDLE));
    if (wrong) throw new Error(`${message.typeName}: the order "${line}" cannot lead to ${wrong}`);
    steps.set(from, [...(steps.get(from) ?? []), ...to.split(" ")]);
  }
  return steps;
}

/** The frames that may follow, with a step to `idle` replaced by what may follow `idle`. */
function resolveIdle(steps: Map<string, string[]>, from: string): string[] {
  return (steps.get(from) ?? []).flatMap((to) => (to === IDLE ? (steps.get(IDLE) ?? []) : [to]));
}

function refuseUnreachable(
  message: DescMessage,
  oneof: DescOneof,
  next: ReadonlyMap<number, ReadonlySet<number>>,
): void {
  const reached = reachable(next, [0]);
  const missed = oneof.fields.find((field) => !reached.has(field.number));
  if (missed) throw new Error(`${message.typeName}: the order never reaches the frame ${missed.name}`);
}

/** The frames that may come some time after these, and these. */
function reachable(next: ReadonlyMap<number, ReadonlySet<number>>, from: Iterable<number>): Set<number> {
  const reached = new Set(from);
  for (const frame of reached) for (const to of next.get(frame) ?? []) reached.add(to);
  return reached;
}
