import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { CompileError, createCelEnvironment } from "./environment.ts";
import { DYN } from "./types/cel-type.ts";

const environment = createCelEnvironment({ variables: { self: DYN } });
const PIECES = [
  "self",
  ".a",
  "[0]",
  "(",
  ")",
  "[",
  "]",
  "{",
  "}",
  "1",
  "-1",
  "1u",
  "1.5",
  "'x'",
  "b'y'",
  "+",
  "*",
  "/",
  "%",
  "<",
  "==",
  "&&",
  "||",
  "!",
  "?",
  ":",
  ",",
  ".",
  ".all(x, x)",
  ".map(x, x + x)",
  ".exists(y, y == 1)",
  "has(self.a)",
  "in",
  "size(self)",
  "dyn(1)",
  ".?b",
  ".orValue(2)",
  "optional.of(1)",
  "\\",
  '"',
  "'",
  "\n",
  "😀",
  "`a`",
  "null",
  "true",
  "duration('1s')",
  "self.matches('(a*)*b')",
  "quantity('1')",
  "ip('::1')",
  "cidr('1.1.1.1/8')",
  "url('http://a')",
];

describe("hostile expressions", () => {
  it("are refused or evaluated within their budget, never crash", () => {
    const random = createSeededRandom(7);
    for (let round = 0; round < 20_000; round++) {
      let source = "";
      const length = 1 + Math.floor(random.next() * 12);
      for (let part = 0; part < length; part++) source += PIECES[Math.floor(random.next() * PIECES.length)]!;
      try {
        const result = environment.compile(source).evaluate({ self: { a: [1, { b: "x" }] } });
        expect(typeof result.cost).toBe("number");
      } catch (error) {
        if (!(error instanceof CompileError)) throw new Error(`${JSON.stringify(source)} crashed`, { cause: error });
      }
    }
  });

  it("that nest comprehensions stop at the cost limit", () => {
    const self = Array.from({ length: 1000 }, (_unused, index) => index);
    const bomb = "self.all(a, self.all(b, self.all(c, self.all(d, a + b + c + d >= 0))))";
    const result = environment.compile(bomb).evaluate({ self });
    expect(result).toMatchObject({
      ok: false,
      cancelled: true,
      error: "operation cancelled: actual cost limit exceeded",
    });
  });

  it("that run for long stop when they are interrupted", () => {
    const self = Array.from({ length: 1000 }, (_unused, index) => index);
    const result = environment
      .compile("self.all(a, self.all(b, a + b >= 0))")
      .evaluate({ self }, { isInterrupted: () => true });
    expect(result).toMatchObject({ ok: false, error: "operation interrupted" });
  });

  it.each(["(", "[", "-(", "!(", "f(", "{1:", "self["])("that nest %s too deep are refused", (opening) => {
    expect(() => environment.compile(opening.repeat(5000))).toThrow(/recursion (limit|depth) exceeded|Syntax error/);
  });

  it("with patterns that backtracking engines choke on are matched in linear time", () => {
    expect(environment.compile("self.matches('(x+x+)+y')").evaluate({ self: "x".repeat(2000) })).toMatchObject({
      value: false,
    });
  });
});
