/**
 * What the registry alone costs, without HTTP: creates, a list of 10,000 pods, one change to 800 watchers. Prints one
 * JSON object a line, per CPU second of this process.
 */
import { createFakeClock, silentLogger, systemRandom } from "@coracle/base";
import { createMemoryStore } from "@coracle/etcd";
import type { Draft } from "@coracle/apimachinery";
import { createRegistry } from "../src/registry/create-registry.ts";
import type { ResourceHandler } from "../src/registry/registry.ts";
import { resourceDefinitions } from "../src/resources/index.ts";

const PODS = 10_000;
const WATCHERS = 800;
const CHANGES = 200;

const context = {
  user: { name: "admin", groups: ["system:masters"] },
  signal: new AbortController().signal,
  warnings: [],
  userAgent: "bench",
};
const query = { dryRun: false, fieldManager: "bench", fieldValidation: "Strict", force: false } as const;

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
async function measure(metric: string, unit: string, count: number, work: () => Promise<void>): Promise<void> {
  const before = cpuSeconds();
  await work();
  const value = Math.round(count / (cpuSeconds() - before));
  process.stdout.write(`${JSON.stringify({ bench: "registry", metric, value, unit })}\n`);
}

function podBody(i: number): Draft {
  const container = (name: string): Draft => ({
    name,
    image: "registry.example.com/team/app:1.2.3",
    ports: [{ containerPort: 8080, name: "http" }],
    env: Array.from({ length: 8 }, (_, n) => ({ name: `VARIABLE_${n}`, value: `value-${n}` })),
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "1", memory: "256Mi" } },
    volumeMounts: [{ name: "data", mountPath: "/data" }],
  });
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `pod-${i}`,
      labels: { app: `app-${i % 100}`, tier: "backend" },
      annotations: { note: "x".repeat(80) },
    },
    spec: { containers: [container("app"), container("sidecar")], volumes: [{ name: "data", emptyDir: {} }] },
  };
}

const started = performance.now();
const store = createMemoryStore({ clock: createFakeClock() });
const registry = await createRegistry({
  store,
  clock: createFakeClock(),
  random: systemRandom,
  logger: silentLogger,
  admission: { admit: () => Promise.resolve(), validate: () => Promise.resolve() },
  definitions: resourceDefinitions,
});
const ready = Math.round(performance.now() - started);
process.stdout.write(`${JSON.stringify({ bench: "registry", metric: "ready", value: ready, unit: "ms" })}\n`);
const pods = registry.resource("", "v1", "pods") as ResourceHandler;

await measure("create", "pods/cpu-second", PODS, async () => {
  for (let i = 0; i < PODS; i++) await pods.create(context, `ns-${i % 50}`, podBody(i), query);
});

await measure("list-10000", "lists/cpu-second", 20, async () => {
  for (let n = 0; n < 20; n++) {
    const { items } = await pods.list(context, undefined, {});
    Buffer.concat(items.map((item) => item.json));
  }
});

await measure("list-selector", "lists/cpu-second", 20, async () => {
  for (let n = 0; n < 20; n++) await pods.list(context, undefined, { labelSelector: "app=app-7" });
});

await measure("get", "gets/cpu-second", 100_000, async () => {
  for (let n = 0; n < 100_000; n++) await pods.get(context, `ns-${n % 50}`, `pod-${n % PODS}`, {});
});

let delivered = 0;
const watches = Array.from({ length: WATCHERS }, () =>
  pods.watch(
    context,
    "ns-0",
    { allowWatchBookmarks: true, resourceVersion: String(registry.revision), fieldSelector: "metadata.name=pod-0" },
    {
      event: (type, { current }) => {
        current.encoded(`frame ${type}`, ({ json }) => Buffer.concat([Buffer.from('{"type":"'), json]));
        delivered++;
      },
      initialDone: () => {},
      closed: () => {},
    },
  ),
);
await measure("fan-out-800", "deliveries/cpu-second", WATCHERS * CHANGES, async () => {
  for (let n = 0; n < CHANGES; n++) {
    await pods.patch(context, "ns-0", "pod-0", "merge", { metadata: { labels: { n: String(n) } } }, query);
  }
});
if (delivered !== WATCHERS * CHANGES) throw new Error(`${delivered} deliveries`);
for (const watch of watches) watch[Symbol.dispose]();
await registry[Symbol.asyncDispose]();
await store[Symbol.asyncDispose]();
