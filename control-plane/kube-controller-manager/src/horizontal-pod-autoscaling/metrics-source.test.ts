import { createFakeClock, createSeededRandom } from "@coracle/base";
import { createApiClient, type TransportRequest } from "@coracle/client";
import { describe, expect, it } from "vitest";
import { createMetricsSource } from "./metrics-source.ts";
import { MetricError } from "./pod-groups.ts";

const signal = new AbortController().signal;
const namespace = "d";

/** Answers by path; anything else is not there. */
function sourceOf(answers: Readonly<Record<string, unknown>>) {
  const asked: string[] = [];
  const client = createApiClient({
    clock: createFakeClock(),
    random: createSeededRandom(1),
    transport: {
      async request({ path }: TransportRequest) {
        asked.push(path);
        const answer = answers[path];
        const body = answer === undefined ? "404 page not found\n" : JSON.stringify(answer);
        return {
          status: answer === undefined ? 404 : 200,
          headers: { "content-type": answer === undefined ? "text/plain" : "application/json" },
          body: (async function* () {
            yield Buffer.from(body);
          })(),
        };
      },
      async [Symbol.asyncDispose]() {},
    },
  });
  const mapper = { mappingsOf: async () => [{ plural: "ingresses" }] as never };
  return { source: createMetricsSource(client, mapper), asked };
}

const CUSTOM = "/apis/custom.metrics.k8s.io";
const group = (...versions: string[]) => ({ versions: versions.map((version) => ({ version })) });

describe("what the metrics APIs tell", () => {
  it("of pods: a custom metric by their labels, in the newest version that is served", async () => {
    const path = `${CUSTOM}/v1beta2/namespaces/d/pods/*/rps?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET`;
    const { source } = sourceOf({
      [CUSTOM]: group("v1beta1", "v1beta2"),
      [path]: {
        items: [
          { describedObject: { name: "a" }, value: "1500m", timestamp: "2026-01-01T00:00:00Z", windowSeconds: 30 },
          { describedObject: { name: "b" }, value: "2", timestamp: "2026-01-01T00:00:00Z" },
        ],
      },
    });
    const metricSelector = { matchLabels: { verb: "GET" } };
    const samples = await source.pods({ namespace, selector: "app=web", metric: "rps", metricSelector }, signal);
    const timestamp = Date.parse("2026-01-01T00:00:00Z");
    expect([...samples]).toEqual([
      ["a", { value: 1500, timestamp, windowMs: 30_000 }],
      ["b", { value: 2000, timestamp, windowMs: 60_000 }],
    ]);
  });

  it.each([
    ["networking.k8s.io/v1", "Ingress", "ingresses.networking.k8s.io/main/hits"],
    ["v1", "Namespace", "metrics/hits"],
  ])("of an object: %s %s", async (apiVersion, kind, target) => {
    const { source } = sourceOf({
      [CUSTOM]: group("v1beta1"),
      [`${CUSTOM}/v1beta1/namespaces/d/${target}`]: { items: [{ value: "7" }] },
    });
    const object = { apiVersion, kind, name: "main" };
    expect(await source.object({ namespace, object, metric: "hits" }, signal)).toBe(7000);
  });

  it("of pods: what all containers use, or one of them; who says nothing is left out", async () => {
    const usage = (cpu?: string) => ({ usage: cpu === undefined ? {} : { cpu } });
    const pod = (name: string, ...containers: (string | undefined)[]) => ({
      metadata: { name },
      timestamp: "2026-01-01T00:00:00Z",
      window: "15.5s",
      containers: containers.map((cpu, i) => ({ name: `c${i}`, ...usage(cpu) })),
    });
    const path = "/apis/metrics.k8s.io/v1beta1/namespaces/d/pods?labelSelector=app%3Dweb";
    const { source } = sourceOf({
      [path]: { items: [pod("a", "100m", "250000u"), pod("b", "1", undefined), pod("c")] },
    });
    const query = { namespace, selector: "app=web", resource: "cpu" };
    const values = async (container?: string) =>
      [...(await source.resource({ ...query, container }, signal))].map(([name, each]) => [name, each.value]);
    expect(await values()).toEqual([["a", 350]]);
    expect(await values("c0")).toEqual([
      ["a", 100],
      ["b", 1000],
    ]);
  });

  it("from outside: the sum of all series", async () => {
    const path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/d/depth?labelSelector=queue%3Dq";
    const { source } = sourceOf({ [path]: { items: [{ value: "3" }, { value: "500m" }] } });
    const query = { namespace, metric: "depth", metricSelector: { matchLabels: { queue: "q" } } };
    expect(await source.external(query, signal)).toBe(3500);
  });

  it("says in upstream's words that nothing is served", async () => {
    const { source } = sourceOf({});
    const query = { namespace, selector: "", resource: "cpu", metric: "m" };
    await expect(source.resource(query, signal)).rejects.toThrow(
      /^unable to fetch metrics from resource metrics API: /,
    );
    await expect(source.pods(query, signal)).rejects.toThrow(
      new MetricError(
        "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
      ),
    );
  });
});
