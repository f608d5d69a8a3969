import type { Random } from "@coracle/base";
import { BandAllocator, bandSize } from "./band-allocator.ts";

/** Node ports, `30000-32767` unless told otherwise. */
export class PortAllocator {
  readonly #first: number;
  readonly #last: number;
  readonly #offsets: BandAllocator;

  constructor(range: string) {
    const match = /^(\d+)-(\d+)$/.exec(range);
    const first = Number(match?.[1]);
    const last = Number(match?.[2]);
    if (match === null || first < 1 || last > 65_535 || last < first) throw new Error(`${range} is no port range`);
    this.#first = first;
    this.#last = last;
    const size = last - first + 1;
    this.#offsets = new BandAllocator(size, bandSize(size, 32, 16, 128));
  }

  get range(): string {
    return `${this.#first}-${this.#last}`;
  }

  take(port: number): "taken" | "allocated" | "outOfRange" {
    if (port < this.#first || port > this.#last) return "outOfRange";
    return this.#offsets.take(port - this.#first) ? "taken" : "allocated";
  }

  takeAny(random: Random): number | undefined {
    const offset = this.#offsets.takeAny(random);
    return offset === undefined ? undefined : this.#first + offset;
  }

  release(port: number): void {
    this.#offsets.release(port - this.#first);
  }
}
