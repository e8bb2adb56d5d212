import type { Environment } from "@marcbachmann/cel-js";

/**
 * Adds functions of Kubernetes' (kubernetes.io/docs/reference/using-api/cel) that the library lacks: `replace` of texts,
 * `find` and `findAll` of patterns.
 */
export function addFunctions(environment: Environment): Environment {
  return environment
    .registerFunction("string.replace(string, string): string", (text: string, from: string, to: string) =>
      text.replaceAll(from, () => to),
    )
    .registerFunction("string.find(string): string", (text: string, pattern: string) => {
      return new RegExp(pattern).exec(text)?.[0] ?? "";
    })
    .registerFunction("string.findAll(string): list<string>", (text: string, pattern: string) => {
      return text.match(new RegExp(pattern, "g")) ?? [];
    });
}
