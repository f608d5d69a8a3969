import { createHash } from "node:crypto";

const SEPARATOR = "\0";

/** A flow as a number of 64 bits: the same for the same schema and distinguisher, on every server. */
export function hashFlow(schema: string, distinguisher: string): bigint {
  const digest = createHash("sha256").update(`${schema}${SEPARATOR}${distinguisher}`).digest();
  return digest.readBigUInt64LE(0);
}

/** Deals `handSize` different cards of a deck; the hash decides which. */
export function dealHand(hash: bigint, deckSize: number, handSize: number): number[] {
  const drawn: number[] = [];
  let rest = hash;
  for (let i = 0; i < handSize; i++) {
    const left = BigInt(deckSize - i);
    drawn.push(Number(rest % left));
    rest /= left;
  }
  // Each number counts the cards that were left when it was drawn.
  return drawn.map((card, i) => {
    let place = card;
    for (let j = i - 1; j >= 0; j--) if (place >= drawn[j]!) place += 1;
    return place;
  });
}
