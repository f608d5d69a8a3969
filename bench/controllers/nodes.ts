import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { NodesAnswer, NodesFailure, NodesJob } from "./nodes-jobs.ts";

/** The process of the simulated nodes, asked one thing at a time. */
export class Nodes implements AsyncDisposable {
  readonly #child: ChildProcess;
  #answer: (answer: NodesAnswer) => void = () => {};
  #failure: string | undefined;

  constructor() {
    this.#child = fork(fileURLToPath(new URL("nodes.mjs", `file://${process.argv[1]}`)));
    this.#child.on("message", (said: NodesAnswer | NodesFailure) => {
      if ("failure" in said) this.#failure ??= said.failure;
      else this.#answer(said);
    });
    this.#child.on("close", () => {
      this.#failure ??= "their process ended";
      this.#answer({ lagsMs: [], error: "the simulated nodes ended" });
    });
  }

  /** Why pods do not start any more, if that is so. */
  get failure(): string | undefined {
    return this.#failure;
  }

  async run(job: NodesJob): Promise<readonly number[]> {
    const answer = await new Promise<NodesAnswer>((resolve) => {
      this.#answer = resolve;
      this.#child.send(job);
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.lagsMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, "close");
    this.#child.kill();
    await gone;
  }
}
