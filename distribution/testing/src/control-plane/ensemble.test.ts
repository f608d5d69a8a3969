import { aborted, createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { Ensemble } from "./ensemble.ts";

const patience = { limitMs: 1000, pass: () => Promise.resolve() };

describe("an ensemble", () => {
  it("is large, and its members have many requests under way: no warning of a leak", async () => {
    const warnings: string[] = [];
    const note = ({ name }: Error): void => void warnings.push(name);
    process.on("warning", note);
    try {
      await using ensemble = new Ensemble(createFakeClock());
      for (let i = 0; i < 20; i++)
        ensemble.run(`member ${i}`, async (signal) => {
          await Promise.all(Array.from({ length: 20 }, () => aborted(signal)));
        });
      // Warnings are told a turn later.
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off("warning", note);
    }
    expect(warnings).toEqual([]);
  });

  it("fails who waits, when one of them ends before the test", async () => {
    await using ensemble = new Ensemble(createFakeClock());
    ensemble.run("the weak one", () => Promise.reject(new Error("no")));
    await new Promise((resolve) => setImmediate(resolve));
    await expect(ensemble.until("anything", () => true, patience)).rejects.toThrow("the weak one ended");
  });

  it("tells who waits in vain what the last failure was", async () => {
    const clock = createFakeClock();
    await using ensemble = new Ensemble(clock);
    const attempt = (): Promise<boolean> => Promise.reject(new Error("not there"));
    const waiting = ensemble.until("a miracle", attempt, { limitMs: 1000, pass: () => clock.advance(300) });
    await expect(waiting).rejects.toThrow("still not true after 1 s: a miracle");
  });
});
