import type { Node } from "@coracle/api/core/v1";

type Images = NonNullable<NonNullable<Node["status"]>["images"]>;

interface Holders {
  /** Size by node number. */
  readonly sizes: Map<number, number>;
  version: number;
}

/** Which nodes have which image. */
export class ImageIndex {
  readonly #holders = new Map<string, Holders>();
  readonly #read = new Map<number, Images>();
  #versions = 0;

  read(slot: number, images: Images | undefined): void {
    const before = this.#read.get(slot);
    if (before === images || sameImages(before, images)) return;
    for (const image of before ?? []) {
      for (const name of image.names ?? []) {
        const holders = this.#holders.get(name);
        if (holders?.sizes.delete(slot) !== true) continue;
        if (holders.sizes.size === 0) this.#holders.delete(name);
        else holders.version = ++this.#versions;
      }
    }
    for (const image of images ?? []) {
      for (const name of image.names ?? []) {
        let holders = this.#holders.get(name);
        if (holders === undefined) this.#holders.set(name, (holders = { sizes: new Map(), version: 0 }));
        holders.sizes.set(slot, image.sizeBytes ?? 0);
        holders.version = ++this.#versions;
      }
    }
    if (images === undefined) this.#read.delete(slot);
    else this.#read.set(slot, images);
  }

  /** Sizes by node number; empty when no node has it. */
  sizes(name: string): ReadonlyMap<number, number> {
    return this.#holders.get(name)?.sizes ?? NONE;
  }

  /** Changes whenever the answer of `sizes` does. */
  versionOf(name: string): number {
    return this.#holders.get(name)?.version ?? 0;
  }
}

const NONE: ReadonlyMap<number, number> = new Map();

function sameImages(a: Images | undefined, b: Images | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  return a.every((image, i) => {
    const other = b[i];
    return (
      image.sizeBytes === other?.sizeBytes &&
      image.names?.length === other?.names?.length &&
      (image.names ?? []).every((name, k) => name === other?.names?.[k])
    );
  });
}
