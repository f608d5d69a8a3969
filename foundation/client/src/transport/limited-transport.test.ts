import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { limitTransport } from "./limited-transport.ts";
import type { Transport } from "./transport.ts";

describe("a limited transport", () => {
  const world = () => {
    const clock = createFakeClock();
    const sent: string[] = [];
    const inner: Transport = {
      request({ path }) {
        sent.push(path);
        return Promise.resolve({ status: 200, headers: {}, body: (async function* () {})() });
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const limited = limitTransport(inner, { qps: 10, burst: 2 }, clock);
    const ask = (path: string, signal?: AbortSignal) =>
      limited.request({ method: "GET", path, headers: {}, body: undefined, signal });
    return { clock, sent, ask };
  };

  it("lets a burst through, then so many a second, in their order", async () => {
    const { clock, sent, ask } = world();
    const asked = ["/a", "/b", "/c", "/d"].map((path) => ask(path));
    await Promise.all(asked.slice(0, 2));
    expect(sent).toEqual(["/a", "/b"]);
    await clock.advance(100);
    await asked[2];
    expect(sent).toEqual(["/a", "/b", "/c"]);
    await clock.advance(100);
    await asked[3];
    expect(sent).toEqual(["/a", "/b", "/c", "/d"]);
  });

  it("after a pause there is no more than a burst", async () => {
    const { clock, sent, ask } = world();
    await clock.advance(60_000);
    const asked = ["/a", "/b", "/c"].map((path) => ask(path));
    await Promise.all(asked.slice(0, 2));
    expect(sent).toEqual(["/a", "/b"]);
    await clock.advance(100);
    await asked[2];
  });

  it("who gives up need not wait", async () => {
    const { sent, ask } = world();
    const stop = new AbortController();
    await Promise.all([ask("/a"), ask("/b")]);
    const waiting = ask("/c", stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    expect(sent).toEqual(["/a", "/b"]);
  });
});
