import { setFlagsFromString } from "node:v8";
import { Environment } from "@marcbachmann/cel-js";
import { checkBounds } from "./bounds.ts";
import { TookTooLongError, withinDeadline } from "./deadline.ts";
import { addFunctions } from "./functions.ts";

/** What an expression may look at: the token's claims, or the user that the mappings made of them. */
export type Scope = "claims" | "user";
/** The type that an expression is due to have; `texts` is a text or a list of them. */
export type ResultType = "bool" | "text" | "texts";

/** Longest expression, in characters. */
const MAX_CHARACTERS = 10_000;
/** Most characters of a value, in all its texts: all headers of a request have 1 MiB. */
const MAX_VALUE_CHARACTERS = 256 * 1024;
const LIMITS = { maxAstNodes: 1_000, maxDepth: 50, maxListElements: 200, maxMapEntries: 200, maxCallArguments: 8 };
/** Types that a check at load finds, by what is due; `dyn` is judged when it is evaluated. */
const TYPES: Record<ResultType, RegExp> = {
  bool: /^(bool|dyn)$/,
  text: /^(string|dyn)$/,
  texts: /^(string|dyn|null|list(<(string|dyn)>)?)$/,
};

// Texts of a caller's choosing meet patterns of the owner's: with this, V8 goes on in linear time where it would not.
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");

/** An expression of CEL (cel.dev), checked. It ends soon, whatever it is given; see {@link checkBounds}. */
export class Expression {
  readonly text: string;
  /** The claims that it names, such as `email` in `claims.email`. */
  readonly claims: ReadonlySet<string>;
  readonly #scope: Scope;
  readonly #evaluate: (context: Record<string, unknown>) => unknown;

  /**
   * Compiles an expression.
   *
   * @throws Error with what is wrong with it: its syntax, a name that is unknown, a type that is not the one due, or that
   *   it may run for long
   */
  constructor(text: string, scope: Scope, due: ResultType) {
    if (text.length > MAX_CHARACTERS) throw new Error(`an expression has ${MAX_CHARACTERS} characters at most`);
    const environment = addFunctions(
      new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits: LIMITS }),
    );
    const parsed = attempt(() => environment.registerVariable(scope, "map").parse(text));
    this.claims = checkBounds(parsed.ast, scope);
    const { valid, type = "dyn", error } = parsed.check();
    if (!valid) throw new Error(firstLine(error));
    if (!TYPES[due].test(type))
      throw new Error(`a ${due === "texts" ? "text or a list of texts" : due} is due, not ${type}`);
    this.text = text;
    this.#scope = scope;
    this.#evaluate = (context) => parsed(context);
  }

  /**
   * Evaluates it.
   *
   * @param value the claims or the user, as {@link celValue} gives them
   * @throws Error if it cannot be evaluated, such as by a claim that is not there, takes too long or gives too much
   */
  evaluate(value: unknown): unknown {
    const result = attempt(() => withinDeadline(() => this.#evaluate({ [this.#scope]: value })));
    if (charactersOf(result) > MAX_VALUE_CHARACTERS) {
      throw new Error(`the expression ${this.text} gives more than ${MAX_VALUE_CHARACTERS / 1024} KiB`);
    }
    return result;
  }
}

/** How long a text is, or the texts of a list. */
function charactersOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  return Array.isArray(value)
    ? value.reduce((sum: number, each) => sum + (typeof each === "string" ? each.length : 0), 0)
    : 0;
}

/** JSON as CEL has it: whole numbers are ints, so that `claims.level == 5` is true of 5. */
export function celValue(json: unknown): unknown {
  if (typeof json === "number") return Number.isSafeInteger(json) ? BigInt(json) : json;
  if (Array.isArray(json)) return json.map(celValue);
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, celValue(value)]));
}

/** The library's errors draw the expression over several lines; the first says what is wrong. */
function attempt<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof TookTooLongError) throw error;
    throw new Error(firstLine(error));
  }
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n", 1)[0] ?? "";
}
