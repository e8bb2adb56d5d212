import { Argument, Command } from "commander";
import { SCRIPTS, SHELLS, type Shell } from "../completion/scripts.ts";
import { print } from "../output.ts";

/** `fairlead completion`: what a shell has to run to complete commands, options and clusters' names. */
export function completionCommand(): Command {
  return new Command("completion")
    .description("print what makes your shell complete commands, options and clusters")
    .addArgument(new Argument("<shell>", "yours").choices(SHELLS))
    .addHelpText("after", EXAMPLES)
    .action((shell: Shell) => print(SCRIPTS[shell]));
}

const EXAMPLES = `
It asks the relay for the clusters' names, for a second at most.

Examples:
  fairlead completion bash >> ~/.bashrc
  fairlead completion zsh > "\${fpath[1]}/_fairlead"
  fairlead completion fish > ~/.config/fish/completions/fairlead.fish
  fairlead completion powershell >> $PROFILE`;
