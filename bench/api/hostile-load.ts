import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Target } from "./connection.ts";

/** What a hostile process is told to be. */
export interface HostileJob {
  readonly name: string;
  readonly target: Target;
}

/** A hostile client in a process of its own: its work keeps nobody but the server from theirs. */
export class HostileProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Returns once all of it is in place. */
  static async begin(name: string, target: Target): Promise<HostileProcess> {
    const child = fork(fileURLToPath(new URL("hostile.mjs", `file://${process.argv[1]}`)));
    child.send({ name, target } satisfies HostileJob);
    const [answer] = (await Promise.race([once(child, "message"), once(child, "close")])) as [unknown];
    if (answer !== "begun") throw new Error(`${name} could not begin: ${String(answer)}`);
    return new HostileProcess(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
