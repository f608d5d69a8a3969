import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Job, JobResult } from "./jobs.ts";

/** The load process, asked one thing at a time. */
export class Load implements AsyncDisposable {
  readonly #child: ChildProcess;
  #answer: (result: JobResult) => void = () => {};

  constructor() {
    this.#child = fork(fileURLToPath(new URL("load.mjs", `file://${process.argv[1]}`)));
    this.#child.on("message", (result: JobResult) => this.#answer(result));
    this.#child.on("close", () => this.#answer({ count: 0, error: "the load process ended" }));
  }

  /** Throws when a request was not answered as expected. */
  async run(job: Job): Promise<JobResult> {
    const result = await new Promise<JobResult>((resolve) => {
      this.#answer = resolve;
      this.#child.send(job);
    });
    if (result.error !== undefined) throw new Error(result.error);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, "close");
    this.#child.kill();
    await gone;
  }
}
