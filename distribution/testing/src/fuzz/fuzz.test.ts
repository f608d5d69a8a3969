import { describe, expect, it } from "vitest";
import { createTestControlPlane } from "../control-plane/test-control-plane.ts";
import type { Call } from "../differential/connection.ts";
import { loadSeeds } from "../differential/seeds.ts";
import { fuzz } from "./fuzz.ts";

const REQUESTS = 5_000;

describe("wrong requests of every kind", () => {
  it("are refused or obeyed, and nothing breaks", async () => {
    await using plane = await createTestControlPlane({ components: [] });
    await using transport = plane.transportOf("kubernetes-admin", "system:masters");
    const send = async ({ method, path, headers = {}, body }: Call): Promise<{ code: number; body: string }> => {
      const sent = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(body);
      const answer = await transport.request({ method, path, headers, body: sent });
      const chunks: Buffer[] = [];
      for await (const chunk of answer.body) chunks.push(chunk);
      return { code: answer.status, body: Buffer.concat(chunks).toString("utf8") };
    };
    const failures = await fuzz({ seeds: loadSeeds(), requests: REQUESTS, seed: 7, atOnce: 4, send });
    expect(
      failures.map(({ call, code, body }) => `${code} ${call.method} ${call.path.slice(0, 200)}: ${body}`),
    ).toEqual([]);
    expect(await send({ method: "GET", path: "/livez/ping" })).toMatchObject({ code: 200 });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  }, 240_000);
});
