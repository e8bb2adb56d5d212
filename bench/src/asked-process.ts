import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endFork } from "./end-fork.ts";

interface Asked<Question> {
  readonly id: number;
  readonly question: Question;
}

type Answered<Answer> =
  | { readonly id: number; readonly answer: Answer }
  | { readonly id: number; readonly sentence: string };

/** A process of the bench's own that answers questions, each of which may take a while. */
export class AskedProcess<Question, Answer> {
  readonly #child: ChildProcess;
  #lastId = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param file the program's, which calls {@link answerQuestions} */
  static async start<Question, Answer>(file: URL): Promise<AskedProcess<Question, Answer>> {
    const child = fork(fileURLToPath(file), { execArgv: [] });
    child.setMaxListeners(0); // one for each question that is open
    await once(child, "message");
    return new AskedProcess<Question, Answer>(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** @throws Error with the process's sentence if it fails, or if the process ends */
  async ask(question: Question): Promise<Answer> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const onMessage = (answered: Answered<Answer>): void => {
      if (answered.id !== id) return;
      if ("answer" in answered) resolve(answered.answer);
      else reject(new Error(answered.sentence));
    };
    const onExit = (code: number | null, signal: NodeJS.Signals | null): void =>
      reject(new Error(`a process of the bench ended: ${signal ?? code}`));
    this.#child.on("message", onMessage).on("exit", onExit);
    this.#child.send({ id, question } satisfies Asked<Question>);
    try {
      return await promise;
    } finally {
      this.#child.off("message", onMessage).off("exit", onExit);
    }
  }

  stop(): Promise<void> {
    return endFork(this.#child);
  }
}

/** The process's own side: says that it is there, answers, and ends when its parent does. */
export function answerQuestions<Question, Answer>(answer: (question: Question) => Promise<Answer>): void {
  process.on("message", ({ id, question }: Asked<Question>) => {
    answer(question).then(
      (given) => process.send?.({ id, answer: given ?? null }),
      (error: Error) => process.send?.({ id, sentence: error.message }),
    );
  });
  process.on("disconnect", () => process.exit());
  process.send?.("ready");
}
