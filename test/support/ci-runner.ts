import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RunningProgram } from "./running-program.ts";

/** One step of a job: a bash script with its variables. */
export interface Step {
  name: string;
  script: string;
  env: Record<string, string>;
}

/** How a job went: its log, and the exit code of the step that it ended with. */
export interface JobOutcome {
  code: number | null;
  log: string;
}

/**
 * The flags that GitHub's runner gives bash for `shell: bash`, and the agent of Azure Pipelines for `bash:`. GitLab's gives
 * none, and begins each script with `set -eo pipefail`.
 */
const FLAGS = {
  github: ["--noprofile", "--norc", "-e", "-o", "pipefail"],
  azure: ["--noprofile", "--norc"],
  gitlab: ["-c", 'set -eo pipefail; . "$0"'],
};

/** The steps of a composite action of GitHub's, with its inputs put in. */
export function actionSteps(
  action: { inputs: Record<string, { default?: string }>; runs: { steps: Record<string, unknown>[] } },
  given: Record<string, string>,
  temp: string,
): Step[] {
  const value = (expression: string): string => {
    if (expression === "runner.temp") return temp;
    const [, input] = /^inputs\.([\w-]+)$/.exec(expression) ?? [];
    const found = input === undefined ? undefined : (given[input] ?? action.inputs[input]?.default);
    if (found === undefined) throw new Error(`there is no ${expression}`);
    return found;
  };
  return action.runs.steps.map((step) => stepOf(String(step.name), step.run, step.env, value));
}

/** The steps of a template of Azure Pipelines that run, with its parameters and the macro of the job's own token put in. */
export function templateSteps(
  template: { parameters: { name: string; default?: string }[]; steps: Record<string, unknown>[] },
  given: Record<string, string>,
  accessToken: string,
): Step[] {
  const value = (expression: string): string => {
    const name = expression.replace(/^parameters\./, "");
    const found = given[name] ?? template.parameters.find((each) => each.name === name)?.default;
    if (found === undefined) throw new Error(`there is no ${expression}`);
    return found;
  };
  const run = template.steps.filter(({ condition }) => condition !== false);
  return run.map((step) => {
    const made = stepOf(String(step.displayName), step.bash, step.env, value);
    const macro = ([key, text]: [string, string]) => [key, text.replace("$(System.AccessToken)", accessToken)];
    return { ...made, env: Object.fromEntries(Object.entries(made.env).map(macro)) };
  });
}

function stepOf(name: string, script: unknown, env: unknown, value: (expression: string) => string): Step {
  const put = (text: string): string => text.replace(/\$\{\{ *([\w.-]+) *\}\}/g, (_, expression) => value(expression));
  const variables = Object.entries(Object(env)).map(([key, text]) => [key, put(String(text))]);
  return { name, script: put(String(script)), env: Object.fromEntries(variables) };
}

/**
 * Runs a job's steps as its runner does: each script from a file, by bash, one after the other until one fails.
 *
 * @param env what the runner gives every step
 */
export async function runJob(
  runner: keyof typeof FLAGS,
  steps: readonly Step[],
  folder: string,
  env: Record<string, string>,
): Promise<JobOutcome> {
  await mkdir(folder, { recursive: true });
  let log = "";
  for (const [i, { name, script, env: own }] of steps.entries()) {
    const file = join(folder, `step-${i}.sh`);
    await writeFile(file, script);
    const command = { file: "/bin/bash", args: [...FLAGS[runner], file] };
    const program = new RunningProgram(command, { env: { ...env, ...own }, cwd: folder });
    program.endInput();
    const { code } = await program.exited;
    log += `== ${name}\n${program.stdout}${program.stderr}`;
    if (code !== 0) return { code, log };
  }
  return { code: 0, log };
}
