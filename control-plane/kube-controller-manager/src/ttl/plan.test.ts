import { expect, it } from "vitest";
import { secondsOf, stepFor } from "./plan.ts";

it.each([
  [100, 0, 0],
  [101, 0, 15],
  [95, 1, 15], // it was more just now
  [89, 1, 0],
  [5000, 0, 300],
  [1900, 4, 300],
  [1799, 4, 60],
])("%i nodes after step %i: %i s", (count, step, seconds) => expect(secondsOf(stepFor(count, step))).toBe(seconds));
