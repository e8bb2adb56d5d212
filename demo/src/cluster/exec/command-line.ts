/** One command of a script. */
export interface SimpleCommand {
  argv: string[];
  /** `>&2`: what the command prints goes to stderr. */
  toStderr: boolean;
  /** Whether it runs, given the exit status of the one before. */
  runs: "always" | "after-success" | "after-failure";
}

// White space, then a separator, the redirection, a word (quoted parts included), or something unknown.
const tokenPattern = /[\t ]*(?:(;|\n|&&|\|\|)|(1?>&2)|((?:'[^']*'|"[^"]*"|[^\s;&|<>'"])+)|([^\t ]))/gy;

/**
 * Splits a script into simple commands: words with quotes, `;`, newlines, `&&`, `||` and `>&2`.
 * Variables stay in the words for {@link expandWord}, because an earlier command sets them.
 * @throws SyntaxError for anything else, such as a pipe
 */
export function parseScript(script: string): SimpleCommand[] {
  const commands: SimpleCommand[] = [];
  let current: SimpleCommand = { argv: [], toStderr: false, runs: "always" };
  for (const [, separator, redirect, word, stray] of script.matchAll(tokenPattern)) {
    if (stray !== undefined) throw new SyntaxError(`the demo shell does not know "${stray}" here`);
    if (redirect !== undefined) current.toStderr = true;
    if (word !== undefined) current.argv.push(word);
    if (separator === undefined) continue;
    if (current.argv.length > 0) commands.push(current);
    current = { argv: [], toStderr: false, runs: runsAfter(separator) };
  }
  if (current.argv.length > 0) commands.push(current);
  return commands;
}

/**
 * Removes quotes and puts variables in.
 * @param word a word as written, such as `"$HOME"/x`
 * @param variables `$?` included, under the name "?"
 */
export function expandWord(word: string, variables: ReadonlyMap<string, string>): string {
  return word.replace(/'([^']*)'|"([^"]*)"|([^'"]+)/g, (_part, single?: string, double?: string, bare?: string) => {
    if (single !== undefined) return single;
    return (double ?? bare ?? "").replace(
      /\$(\w+|\?)|\$\{(\w+)\}/g,
      (_reference, name?: string, braced?: string) => variables.get(name ?? braced ?? "") ?? "",
    );
  });
}

function runsAfter(separator: string): SimpleCommand["runs"] {
  if (separator === "&&") return "after-success";
  return separator === "||" ? "after-failure" : "always";
}
