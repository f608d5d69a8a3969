/** Columns and rows of a terminal. */
export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** Sizes as they arrive, for one reader. Only the newest unread one is kept. */
export class TerminalSizes implements AsyncIterable<TerminalSize> {
  #latest: TerminalSize | undefined;
  #isOver = false;
  #wake: (() => void) | undefined;

  /** Takes what a client sent (`{"Width":80,"Height":24}`); what is none is ignored. */
  offer(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return;
    }
    const { Width: width, Height: height } = (value ?? {}) as { Width?: unknown; Height?: unknown };
    if (!isCells(width) || !isCells(height)) return;
    this.#latest = { width, height };
    this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TerminalSize, void> {
    for (;;) {
      const size = this.#latest;
      this.#latest = undefined;
      if (size !== undefined) yield size;
      else if (this.#isOver) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

const isCells = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 65_535;
