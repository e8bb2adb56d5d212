import type { ASTNode } from "@marcbachmann/cel-js";
import { checkPattern } from "./pattern.ts";

/** What goes through a list (the CEL specification's macros), with an expression for each element. */
const MACROS = new Set(["all", "exists", "exists_one", "map", "filter"]);
/** What takes a pattern, as its first argument. */
const MATCHERS = new Set(["matches", "find", "findAll"]);

/**
 * Refuses an expression that could run for long: one that goes through a list within going through a list, names a part
 * to double it again and again, or matches a pattern that is not written out. What is left is ended by a deadline.
 *
 * Refuses as well one that looks at the claims otherwise than by a name that is written out, or for whether a name is
 * among them: nobody could say which claims it takes, so that rules on `claims.email` could be gone around.
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
    if (op === "id" && args === scope) throw new Error(`${scope}: write out which is meant, as in ${scope}.NAME`);
    if ((op === "." || op === ".?") && isScope(args[0])) return void claims.add(args[1]);
    if ((op === "[]" || op === "[?]") && isScope(args[0]) && isText(args[1])) return void claims.add(args[1].args);
    if (op === "in" && isScope(args[1])) return visit(args[0], inMacro);
    if (op === "call" && MATCHERS.has(args[0])) checkWrittenOut(args[0], args[1][1]);
    if (op !== "rcall") return visit(args, inMacro);
    const [method, receiver, rest] = args;
    if (method === "bind") throw new Error("cel.bind is none of Kubernetes' functions");
    if (MATCHERS.has(method)) checkWrittenOut(method, rest[0]);
    const isMacro = MACROS.has(method);
    if (isMacro && inMacro) throw new Error(`${method} within another all, exists, map or filter may run for long`);
    visit(receiver, inMacro);
    visit(rest, inMacro || isMacro);
  }

  function isScope({ op, args }: ASTNode): boolean {
    return op === "id" && args === scope;
  }
}

function isText(node: ASTNode | undefined): node is ASTNode & { args: string } {
  return node?.op === "value" && typeof node.args === "string";
}

function checkWrittenOut(method: string, pattern: ASTNode | undefined): void {
  if (!isText(pattern)) throw new Error(`${method}: write the pattern out`);
  checkPattern(method, pattern.args);
}
