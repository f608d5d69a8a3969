import { describe, expect, it } from "vitest";
import { duplicateFields, parseJsonStrict, strictFields } from "./parse-json.ts";

describe("members that a text of JSON names twice", () => {
  it.each([
    ['{"a":1,"a":2}', ['duplicate field "a"']],
    ['{"a":{"b":1,"b":2},"c":[{"d":1,"d":2}]}', ['duplicate field "a.b"', 'duplicate field "c[0].d"']],
    [String.raw`{"a\"b":1,"a\u0022b":2}`, ['duplicate field "a"b"']],
    ['{"a":"{\\"b\\":1,\\"b\\":2}"}', []],
    ['{"a" : 1, "b":["a", "b:", {"a"\n:"b"}], "__proto__":{"a":1}}', []],
    ['{"__proto__":1, "__proto__":2}', ['duplicate field "__proto__"']],
    [`${"[".repeat(600)}{"a":1}${"]".repeat(600)}`, []],
  ])("%s", (text, fields) => {
    expect(parseJsonStrict(text).duplicateFields).toEqual(fields);
    expect(duplicateFields(text, JSON.parse(text))).toEqual(fields);
  });

  it("are told together with those that no one knows, in the order of the text", () => {
    expect(strictFields('{"x":1,"a":1,"a":2}', ['unknown field "x"'])).toEqual([
      'unknown field "x"',
      'duplicate field "a"',
    ]);
  });

  it.each(['{a: b"', '{"a', '{"a\\', '"', '{"a":"\\"'])("looking for them in %s, which is no JSON, ends", (text) => {
    expect(duplicateFields(text, undefined)).toEqual([]);
    expect(strictFields(text, [])).toEqual([]);
  });
});
