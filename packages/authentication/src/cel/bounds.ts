import type { ASTNode } from "@marcbachmann/cel-js";

/** What goes through a list (the CEL specification's macros), with an expression for each element. */
const MACROS = new Set(["all", "exists", "exists_one", "map", "filter"]);
/** What RE2 does not have, and so Kubernetes neither: it is what makes patterns slow. */
const NO_RE2 = /\\[1-9]|\\k<|\(\?(=|!|<=|<!)/;

/**
 * Refuses an expression that could run for long: one that goes through a list within going through a list, or matches a
 * pattern that is not written out or is none of RE2's. What is left takes time that grows with the token alone.
 *
 * @returns the names of the claims that it looks at
 * @throws Error
 */
export function checkBounds(ast: ASTNode, scope: string): Set<string> {
  const claims = new Set<string>();
  visit(ast, false);
  return claims;

  function visit(node: unknown, inMacro: boolean): void {
    if (Array.isArray(node)) {
      for (const each of node) visit(each, inMacro);
      return;
    }
    if (typeof node !== "object" || node === null || !("op" in node)) return;
    const { op, args } = node as ASTNode;
    if (op === "." || op === ".?") noteClaim(args[0], args[1]);
    if (op === "[]" || op === "[?]") noteClaim(args[0], args[1].args);
    if (op === "call" && args[0] === "matches") checkPattern(args[1][1]);
    if (op !== "rcall") return visit(args, inMacro);
    const [method, receiver, rest] = args;
    if (method === "matches") checkPattern(rest[0]);
    const isMacro = MACROS.has(method);
    if (isMacro && inMacro) throw new Error(`${method} within another all, exists, map or filter may run for long`);
    visit(receiver, inMacro);
    visit(rest, inMacro || isMacro);
  }

  function noteClaim({ op, args }: ASTNode, name: unknown): void {
    if (op === "id" && args === scope && typeof name === "string") claims.add(name);
  }
}

function checkPattern(pattern: ASTNode | undefined): void {
  if (pattern?.op !== "value" || typeof pattern.args !== "string") throw new Error("matches: write the pattern out");
  if (NO_RE2.test(pattern.args)) throw new Error("matches: RE2 has no lookaround and no backreferences");
  new RegExp(pattern.args); // throws for one that is none
}
