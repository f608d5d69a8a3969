import { describe, expect, it } from "vitest";
import { CHUNK_BYTES, joinJsonList, joinPieces, sizeOfJsonList, type JsonList } from "./list-chunks.ts";

interface Item {
  readonly json: Buffer;
}

function listOf(count: number, padding: number): JsonList<Item> {
  const text = (i: number): string =>
    JSON.stringify({ kind: i % 7 === 3 ? "Other" : "Thing", i, p: "x".repeat(padding) });
  return {
    head: Buffer.from('{"items":['),
    items: Array.from({ length: count }, (_, i) => ({ json: Buffer.from(text(i)) })),
    left: Buffer.from('{"kind":"Thing",'),
    otherwise: ({ json }) => {
      const { kind: _kind, ...rest } = JSON.parse(json.toString()) as Record<string, unknown>;
      return Buffer.from(JSON.stringify(rest));
    },
    tail: Buffer.from("]}"),
  };
}

const numbers = (text: string): number[] => (JSON.parse(text) as { items: { i: number }[] }).items.map(({ i }) => i);

describe("chunks of a list", () => {
  it.each([
    [0, 10],
    [1, 10],
    [50, 10],
    [500, 3_000],
    [3, CHUNK_BYTES],
  ])("hold %d items of %d bytes, each once and without what the list says", (count, padding) => {
    const list = listOf(count, padding);
    const chunks = [...joinJsonList(list)];
    const text = Buffer.concat(chunks.map(({ bytes }) => bytes)).toString();
    expect(numbers(text)).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(text).not.toContain("kind");
    expect(text.length).toBeLessThanOrEqual(sizeOfJsonList(list));
  });

  it("are one where memory for all of it is given", () => {
    const list = listOf(40, 20);
    const chunks = [...joinJsonList(list, Buffer.alloc(sizeOfJsonList(list)))];
    expect(chunks).toHaveLength(1);
    expect(numbers(chunks[0]!.bytes.toString())).toHaveLength(40);
  });

  it("take the memory of those that were sent, and of no others", () => {
    const pieces = Array.from({ length: 64 }, (_, i) => Buffer.alloc(CHUNK_BYTES / 8, i));
    const memories = new Set<ArrayBufferLike>();
    const unsent = joinPieces(pieces);
    const held = unsent.next().value!;
    for (const chunk of joinPieces(pieces)) {
      memories.add(chunk.bytes.buffer);
      chunk.release();
    }
    expect(memories.size).toBeLessThanOrEqual(8);
    expect(memories).not.toContain(held.bytes.buffer);
    expect(held.bytes.equals(Buffer.concat(pieces.slice(0, 8)))).toBe(true);
  });
});
