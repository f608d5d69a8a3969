import { describe, expect, it } from "vitest";
import { compileJsonPath } from "./json-path.ts";

const object = {
  metadata: { name: "a", annotations: { "example.com/size": "big" } },
  spec: {
    list: [
      { name: "x", size: 1 },
      { name: "y", size: 2 },
    ],
    nothing: null,
    flag: false,
  },
};

describe("paths of columns and selectable fields", () => {
  it.each<[string, readonly unknown[]]>([
    [".metadata.name", ["a"]],
    [".metadata.annotations.example\\.com/size", ["big"]],
    [".metadata.annotations['example.com/size']", ["big"]],
    [".spec.list[0].name", ["x"]],
    [".spec.list[-1].name", ["y"]],
    [".spec.list[*].size", [1, 2]],
    [".spec.list[0:1].size", [1]],
    ['.spec.list[?(@.name=="y")].size', [2]],
    [".spec.list[?(@.size>1)].name", ["y"]],
    [".spec.nothing", [null]],
    [".spec.flag", [false]],
    ["..size", [1, 2]],
    [".spec.missing.deeper", []],
    [".spec.list.name", []],
  ])("%s finds %j", (path, found) => {
    expect(compileJsonPath(path)(object)).toEqual(found);
  });

  it("refuses what is no path", () => {
    expect(() => compileJsonPath(".spec[")).toThrow("unrecognized path");
  });
});
