import { describe, expect, it } from "vitest";
import { corruptByte } from "./base64.ts";

describe("the byte where base64 goes wrong", () => {
  it.each([
    ["?", 0],
    ["a b=", 1],
    ["YQ==x", 4],
    ["YQ=", 3],
    ["YQ", 0],
    ["YWJjZGU", 4],
    ["YQ=a", 2],
    ["Y===", 1],
    ["=", 0],
    ["YW\nJj!", 5],
  ])("%j is told at %i", (text, at) => {
    expect(corruptByte(Buffer.from(text))).toBe(at);
  });
});
