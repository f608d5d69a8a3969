import { closeSync, openSync, readSync } from "node:fs";

/** What upstream's scheduler logs (`--vmodule=schedule_one=10`) of the nodes that fit a pod. */
export interface UpstreamScores {
  /** Node → plugin → score by its weight. */
  readonly byPlugin: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Node → total. */
  readonly totals: ReadonlyMap<string, number>;
}

const SCORED = /"Plugin scored node for pod" pod="([^"]*)" plugin="([^"]*)" node="([^"]*)" score=(-?\d+)/;
const TOTAL = /"Calculated node's final score for pod" pod="([^"]*)" node="([^"]*)" score=(-?\d+)/;

/** Reads scores out of a log that grows. */
export class ScoreLog {
  readonly #file: string;
  #offset = 0;
  #rest = "";

  constructor(file: string) {
    this.#file = file;
  }

  /** Those of the pod that were written since it was asked last; what is about others is dropped. */
  read(pod: string): UpstreamScores {
    const byPlugin = new Map<string, Map<string, number>>();
    const totals = new Map<string, number>();
    for (const line of this.#lines()) {
      const scored = SCORED.exec(line);
      if (scored?.[1] === pod) {
        const [, , plugin = "", node = "", score] = scored;
        const ofNode = byPlugin.get(node) ?? new Map<string, number>();
        byPlugin.set(node, ofNode.set(plugin, Number(score)));
        continue;
      }
      const total = TOTAL.exec(line);
      if (total?.[1] === pod) totals.set(total[2] ?? "", Number(total[3]));
    }
    return { byPlugin, totals };
  }

  #lines(): string[] {
    const file = openSync(this.#file, "r");
    const chunk = Buffer.alloc(1 << 20);
    let text = this.#rest;
    try {
      for (let size = 1; size > 0;) {
        size = readSync(file, chunk, 0, chunk.length, this.#offset);
        this.#offset += size;
        text += chunk.toString("latin1", 0, size);
      }
    } finally {
      closeSync(file);
    }
    const lines = text.split("\n");
    this.#rest = lines.pop() ?? "";
    return lines;
  }
}
