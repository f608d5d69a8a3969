import { APIService } from "@coracle/api/apiregistration/v1";
import { Deployment } from "@coracle/api/apps/v1";
import { HorizontalPodAutoscaler, type MetricSpec } from "@coracle/api/autoscaling/v2";
import { Pod, Service } from "@coracle/api/core/v1";
import { createAuthority } from "@coracle/pki";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startMetricsApiServer, type MetricsApiServer } from "./metrics-api-server.ts";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "web" };
const DAY_MS = 86_400_000;
const CUSTOM = `/apis/custom.metrics.k8s.io/v1beta2/namespaces/${namespace}`;
const EXTERNAL = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}`;
const slowly = { limitMs: 900_000, stepMs: 5000 };

let plane: TestControlPlane;
let measures: MetricsApiServer;

beforeEach(async () => {
  plane = await createTestControlPlane({ fakeClock: true });
  const now = plane.clock.now();
  // Whether a certificate is valid is asked of the host's time.
  const validity = { notBefore: Math.min(now, Date.now()) - DAY_MS, notAfter: Math.max(now, Date.now()) + DAY_MS };
  const authority = createAuthority({ subject: { commonName: "metrics-ca" }, ...validity });
  const names = ["metrics.default.svc"];
  const serving = authority.issue({ subject: { commonName: "metrics" }, usages: ["server"], names, ...validity });
  measures = await startMetricsApiServer({
    ...serving,
    requestHeaderCa: plane.frontProxyCa,
    now: () => plane.clock.now(),
  });
  await plane.addNode({ name: "n1" });
  await plane.admin.create(Service, {
    metadata: { name: "metrics", namespace },
    spec: { type: "ExternalName", externalName: "localhost" },
  });
  for (const [group, version] of [
    ["custom.metrics.k8s.io", "v1beta2"],
    ["external.metrics.k8s.io", "v1beta1"],
  ] as const) {
    const name = `${version}.${group}`;
    await plane.admin.create(APIService, {
      metadata: { name },
      spec: {
        group,
        version,
        service: { namespace, name: "metrics", port: measures.port },
        caBundle: Buffer.from(authority.cert).toString("base64"),
        groupPriorityMinimum: 100,
        versionPriority: 100,
      },
    });
    await plane.until(`${name} is available`, async () => {
      const { status } = await plane.admin.get(APIService, { name });
      return status?.conditions?.some((each) => each.type === "Available" && each.status === "True");
    });
  }
});
afterEach(async () => {
  await plane[Symbol.asyncDispose]();
  await measures[Symbol.asyncDispose]();
});

async function scale(metrics: readonly MetricSpec[]): Promise<void> {
  await plane.admin.create(Deployment, {
    metadata: { name: "web", namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "web" }] } },
    },
  });
  await plane.admin.create(HorizontalPodAutoscaler, {
    metadata: { name: "web", namespace },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
      maxReplicas: 9,
      metrics,
      behavior: { scaleDown: { stabilizationWindowSeconds: 0 } },
    },
  });
}
const replicas = async (): Promise<number | undefined> =>
  (await plane.admin.get(Deployment, { namespace, name: "web" })).spec.replicas;
const condition = async (type: string) =>
  (await plane.admin.get(HorizontalPodAutoscaler, { namespace, name: "web" })).status?.conditions?.find(
    (each) => each.type === type,
  );

it("an autoscaler follows what pods and objects say through a registered server, which is told who asks", async () => {
  await scale([
    { type: "Pods", pods: { metric: { name: "rps" }, target: { type: "AverageValue", averageValue: "10" } } },
    {
      type: "Object",
      object: {
        describedObject: { apiVersion: "v1", kind: "Service", name: "shop" },
        metric: { name: "waiting" },
        target: { type: "Value", value: "100" },
      },
    },
  ]);
  const tell = async (rps: string): Promise<void> => {
    const { items } = await plane.admin.list(Pod, { namespace });
    const ofPods = items.map(({ metadata }) => ({ value: rps, of: { kind: "Pod", name: metadata.name ?? "" } }));
    measures.values.set(`${CUSTOM}/pods/*/rps`, ofPods);
  };
  measures.values.set(`${CUSTOM}/services/shop/waiting`, [{ value: "50", of: { kind: "Service", name: "shop" } }]);
  await plane.until(
    "there are twice as many",
    async () => {
      await tell("20");
      return (await replicas()) === 4;
    },
    slowly,
  );
  await tell("10");
  measures.values.set(`${CUSTOM}/services/shop/waiting`, [{ value: "200", of: { kind: "Service", name: "shop" } }]);
  await plane.until(
    "the object wants more than the pods",
    async () => {
      await tell("10");
      return (await replicas()) === 8;
    },
    slowly,
  );
  expect([...measures.asked]).toContain(
    `system:serviceaccount:kube-system:horizontal-pod-autoscaler ${CUSTOM}/services/shop/waiting`,
  );
});

it("and what is measured outside; when nobody measures it, it says so and leaves all as it is", async () => {
  await scale([
    {
      type: "External",
      external: { metric: { name: "queue-depth" }, target: { type: "AverageValue", averageValue: "10" } },
    },
  ]);
  const failed = await plane.until(
    "it says so",
    async () => {
      const active = await condition("ScalingActive");
      return active?.reason === "FailedGetExternalMetric" ? active : undefined;
    },
    slowly,
  );
  expect(failed.message).toContain("unable to fetch metrics from external metrics API: nobody measures queue-depth");
  expect(await replicas()).toBe(2);
  measures.values.set(`${EXTERNAL}/queue-depth`, [{ value: "25" }, { value: "25500m" }]);
  await plane.until("there are enough", async () => (await replicas()) === 6, slowly);
  measures.values.set(`${EXTERNAL}/queue-depth`, [{ value: "5" }]);
  await plane.until("one is enough", async () => (await replicas()) === 1, slowly);
});
