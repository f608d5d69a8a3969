import { createFakeClock } from "@coracle/base";
import { expect, it } from "vitest";
import { ClientMetrics } from "./client-metrics.ts";
import type { Transport } from "./transport/transport.ts";

it("requests are counted and measured to their end; watches are counted", async () => {
  const clock = createFakeClock();
  const metrics = new ClientMetrics(clock);
  const transport: Transport = {
    request: ({ path }) =>
      path === "/broken"
        ? Promise.reject(new Error("no way"))
        : Promise.resolve({
            status: 200,
            headers: {},
            body: (async function* () {
              await clock.advance(300);
              yield Buffer.alloc(100);
            })(),
          }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const watched = metrics.watch(transport, "https://127.0.0.1:6443");
  const ask = async (path: string, body?: Buffer): Promise<void> => {
    const response = await watched.request({ method: body === undefined ? "GET" : "POST", path, headers: {}, body });
    for await (const _ of response.body);
  };
  await ask("/api/v1/pods");
  await ask("/api/v1/pods?watch=true");
  await ask("/api/v1/pods", Buffer.alloc(70));
  await expect(ask("/broken")).rejects.toThrow("no way");
  metrics.leads("kube-scheduler", true);
  const text = metrics.text();
  const of = 'host="127.0.0.1:6443"';
  for (const line of [
    `rest_client_requests_total{code="200",${of},method="GET"} 2`,
    `rest_client_requests_total{code="200",${of},method="POST"} 1`,
    `rest_client_requests_total{code="<error>",${of},method="GET"} 1`,
    `rest_client_request_duration_seconds_bucket{${of},verb="GET",le="0.25"} 0`,
    `rest_client_request_duration_seconds_bucket{${of},verb="GET",le="0.5"} 1`,
    `rest_client_request_size_bytes_sum{${of},verb="POST"} 70`,
    `rest_client_response_size_bytes_bucket{${of},verb="GET",le="1.048576e+06"} 1`,
    'leader_election_master_status{name="kube-scheduler"} 1',
  ])
    expect(text).toContain(`${line}\n`);
});
