import { Cleanup } from "@coracle/base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { call, startAccessServer } from "../access-fixture.ts";
import { withoutFamilies } from "../metrics/metric-text.ts";

let cleanup: Cleanup;
beforeEach(() => {
  cleanup = new Cleanup();
});
afterEach(() => cleanup[Symbol.asyncDispose]());

describe("/debug/pprof", () => {
  it("answers V8's profiles to who may read them, and is not there when it is off", async () => {
    const on = cleanup.use(await startAccessServer(() => ({ profiling: true })));
    const profile = await call(on.admin, "GET", "/debug/pprof/profile?seconds=0.05");
    expect(JSON.parse(profile.text)).toMatchObject({ nodes: expect.any(Array) as unknown });
    const heap = await call(on.admin, "GET", "/debug/pprof/heap?seconds=0.05");
    expect(JSON.parse(heap.text)).toMatchObject({ head: { callFrame: { functionName: "(root)" } } });
    expect((await call(on.admin, "GET", "/debug/pprof/")).text).toContain("Types of profiles available:");
    expect((await call(on.admin, "GET", "/debug/pprof/goroutine")).status).toBe(404);
    expect((await call(on.admin, "GET", "/debug/pprof/heap?seconds=x")).status).toBe(400);
    const off = cleanup.use(await startAccessServer());
    expect((await call(off.admin, "GET", "/debug/pprof/profile")).status).toBe(404);
  });
});

it("families of metrics that nobody wants are left out", () => {
  const text = "# TYPE a counter\na 1\n# TYPE b histogram\nb_count 1\n# TYPE c gauge\nc 1\n";
  expect(withoutFamilies(text, ["b"])).toBe("# TYPE a counter\na 1\n# TYPE c gauge\nc 1\n");
});
