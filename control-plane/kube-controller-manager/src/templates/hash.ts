const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** JSON with sorted keys and without `undefined`: equal data gives equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const parts: string[] = [];
  for (const key of Object.keys(value).toSorted()) {
    const member = (value as Record<string, unknown>)[key];
    if (member !== undefined) parts.push(`${JSON.stringify(key)}:${canonicalJson(member)}`);
  }
  return `{${parts.join(",")}}`;
}

/** A short hash of `value` that is safe as a label and in names: FNV-1a, in letters and digits that spell no words. */
export function safeHash(value: unknown, collisionCount: number | undefined): string {
  let hash = 0x811c9dc5;
  const mix = (byte: number): void => {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  };
  for (const byte of Buffer.from(canonicalJson(value))) mix(byte);
  if (collisionCount !== undefined) for (let i = 0; i < 4; i++) mix((collisionCount >>> (8 * i)) & 0xff);
  let text = "";
  for (const digit of String(hash)) text += ALPHABET[digit.charCodeAt(0) % ALPHABET.length];
  return text;
}
