const POLYNOMIAL = 0x82f63b78;
let table: Int32Array | undefined;

function makeTable(): Int32Array {
  const made = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    made[byte] = value;
  }
  return made;
}

/** CRC-32C (Castagnoli) of bytes that come in parts: give the sum so far, begin with 0. */
export function crc32c(sum: number, bytes: Uint8Array): number {
  const lookup = (table ??= makeTable());
  let value = ~sum;
  for (let at = 0; at < bytes.length; at++) {
    value = (lookup[(value ^ (bytes[at] as number)) & 0xff] as number) ^ (value >>> 8);
  }
  return ~value >>> 0;
}
