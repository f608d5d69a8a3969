import { expect, it } from "vitest";
import { uniteSets } from "./field-set.ts";
import { sharedSet, textOfFieldSet } from "./shared-sets.ts";

it("a set is the same bytes, however it came about", () => {
  const inOrder = sharedSet({ "f:a": {}, "f:b": { ".": {}, 'k:{"name":"x"}': {}, 'k:{"name":"y"}': {} } });
  const grown = uniteSets({ "f:b": { ".": {}, 'k:{"name":"y"}': {} } }, { "f:a": {}, "f:b": { 'k:{"name":"x"}': {} } });
  expect(textOfFieldSet(sharedSet(grown))).toBe(textOfFieldSet(inOrder));
  expect(JSON.stringify(sharedSet(grown))).toBe(JSON.stringify(inOrder));
  expect(JSON.stringify(inOrder)).toBe(
    '{"f:a":{},"f:b":{".":{},"k:{\\"name\\":\\"x\\"}":{},"k:{\\"name\\":\\"y\\"}":{}}}',
  );
});
