import { describe, expect, it } from "vitest";
import type { ApiRequest } from "./api-request.ts";
import { RequestMetrics } from "./metrics.ts";
import { parseRequestInfo } from "./request-info.ts";

const requestOf = (method: string, path: string): ApiRequest => {
  const query = new URLSearchParams();
  const info = parseRequestInfo(method, path, query);
  return { info, query, waitedMs: 0, streamedBytes: 0, exchange: { method } } as unknown as ApiRequest;
};

const seriesOf = (metrics: RequestMetrics): string[] =>
  metrics
    .render()
    .split("\n")
    .filter((line) => line.startsWith("apiserver_request_total{"));

describe("the counts of requests", () => {
  it("name what was found", () => {
    const metrics = new RequestMetrics();
    metrics.observe(requestOf("GET", "/api/v1/namespaces/a/pods/b"), 200, 0.01);
    metrics.observe(requestOf("GET", "/api/v1/namespaces/a/pods/c"), 404, 0.01);
    metrics.observe(requestOf("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale"), 422, 0.01);
    const labels = 'scope="resource",subresource="",verb="GET",version="v1"} 1';
    expect(seriesOf(metrics)).toEqual([
      `apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",${labels}`,
      `apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="pods",${labels}`,
      'apiserver_request_total{code="422",component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="scale",verb="PATCH",version="v1"} 1',
    ]);
  });

  it("do not grow with what clients make up", () => {
    const metrics = new RequestMetrics();
    metrics.observe(requestOf("GET", "/api/v1/namespaces/a/pods/b"), 200, 0.01);
    for (let i = 0; i < 1000; i++) {
      for (const code of [401, 403, 404])
        metrics.observe(requestOf("GET", `/apis/group-${i}/v${i}/things-${i}/x/sub-${i}`), code, 0.01);
      metrics.observe(requestOf(`METHOD-${i}`, `/path-${i}`), 403, 0.01);
      metrics.observe(requestOf("GET", `/api/v1/namespaces/a/pods/b/made-${i}`), 404, 0.01);
    }
    expect(seriesOf(metrics).length).toBeLessThan(12);
  });

  it("hold no line that a client wrote", () => {
    const metrics = new RequestMetrics();
    for (const code of [200, 403, 404])
      metrics.observe(requestOf("GET", "/apis/a%22%7D%201%0Aup%7B/v1/b%0Aup%201/c/d%0Aup%201"), code, 0.01);
    expect(metrics.render()).not.toMatch(/^up/m);
  });
});
