import { describe, expect, it } from "vitest";
import { jsonFaultIn } from "./json-fault.ts";

const CASES: readonly (readonly [string, string | undefined])[] = [
  ['{"a": [1, -0.5e+3, true, null, {"b": "\\u00e9\\n"}], "c": {}} ', undefined],
  ["", "unexpected end of JSON input"],
  ["  ", "unexpected end of JSON input"],
  ['{"a"', "unexpected end of JSON input"],
  ['{"a": "b', "unexpected end of JSON input"],
  ["abc", "invalid character 'a' looking for beginning of value"],
  ["{a}", "invalid character 'a' looking for beginning of object key string"],
  ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ['{"a" 1}', "invalid character '1' after object key"],
  ['{"a":1 2}', "invalid character '2' after object key:value pair"],
  ["[1 2]", "invalid character '2' after array element"],
  ["[1,]", "invalid character ']' looking for beginning of value"],
  ["{} x", "invalid character 'x' after top-level value"],
  ['"a\nb"', "invalid character '\\n' in string literal"],
  ['"\\x"', "invalid character 'x' in string escape code"],
  ['"\\u00g0"', "invalid character 'g' in \\u hexadecimal character escape"],
  ["tru", "invalid character ' ' in literal true (expecting 'e')"],
  ["-", "invalid character ' ' in numeric literal"],
  ['"\\', "invalid character ' ' in string escape code"],
  ["trux", "invalid character 'x' in literal true (expecting 'e')"],
  ["-x", "invalid character 'x' in numeric literal"],
  ["1.x", "invalid character 'x' after decimal point in numeric literal"],
  ["1ex", "invalid character 'x' in exponent of numeric literal"],
  ["01", "invalid character '1' after top-level value"],
  ["'", "invalid character '\\'' looking for beginning of value"],
  ["é", "invalid character 'Ã' looking for beginning of value"],
  ["\0", "invalid character '\\x00' looking for beginning of value"],
];

describe("what is wrong with JSON", () => {
  it.each(CASES)("%j is told in Go's words", (text, why) => {
    expect(jsonFaultIn(Buffer.from(text))).toBe(why);
  });

  it("deep texts are walked through without going deep", () => {
    expect(jsonFaultIn(Buffer.from("[".repeat(9_999) + "]".repeat(9_999)))).toBeUndefined();
    expect(jsonFaultIn(Buffer.from("[".repeat(3_000_000)))).toBe("invalid character '[' exceeded max depth");
  });
});
