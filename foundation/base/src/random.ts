import { randomBytes } from "node:crypto";

/** Source of randomness; handed in so that tests repeat. */
export interface Random {
  /** In [0, 1). */
  next(): number;
}

export const systemRandom: Random = { next: () => Math.random() };

/** Repeatable (mulberry32): the same seed gives the same sequence. Not for secrets. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}

/** Letters and digits of generated name suffixes: no vowels, so no words; nothing that is misread. */
const SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** A suffix as in generated object names, 5 characters unless told. */
export function randomSuffix(random: Random, length = 5): string {
  let out = "";
  for (let i = 0; i < length; i++) out += SUFFIX_ALPHABET[Math.floor(random.next() * SUFFIX_ALPHABET.length)];
  return out;
}

/** Hex of `bytes` bytes fit for secrets. */
export function secretHex(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}
