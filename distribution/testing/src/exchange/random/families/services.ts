import type { KubeObject } from "@coracle/api";
import { Endpoints, Pod, Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { any } from "../../picture.ts";
import { keyOf, NothingToDo, type Actor, type Family } from "../actor.ts";
import { endPod, isLive, isReady, POD_STEPS } from "./pods.ts";

const SELECTORS: readonly Readonly<Record<string, string>>[] = [
  { app: "web" },
  { app: "db" },
  { app: "web", tier: "front" },
  { app: "none" },
];
const PORTS = [
  [{ port: 80 }],
  [{ name: "http", port: 80, targetPort: "http" }],
  [
    { name: "http", port: 80, targetPort: "http", appProtocol: "http" },
    { name: "admin", port: 81, targetPort: 8081 },
    { name: "dns", port: 53, protocol: "UDP" },
  ],
  [{ name: "metrics", port: 90, targetPort: "metrics" }],
] as const;

async function makeService(actor: Actor): Promise<void> {
  const hasSelector = actor.chance(0.8);
  const isHeadless = actor.chance(0.3);
  await actor.create(any(Service), {
    metadata: {
      ...actor.key(actor.pick(["one", "two", "three"])),
      labels: { of: "it", ...(actor.chance(0.2) ? { "service.kubernetes.io/headless": "" } : {}) },
      annotations: actor.chance(0.2) ? { "service.kubernetes.io/topology-mode": "Auto" } : {},
    },
    spec: {
      ports: actor.pick(PORTS),
      ...(hasSelector ? { selector: actor.pick(SELECTORS) } : {}),
      ...(isHeadless ? { clusterIP: "None" } : {}),
      ...(actor.chance(0.2) ? { publishNotReadyAddresses: true } : {}),
      ...(actor.chance(0.3)
        ? { trafficDistribution: actor.pick(["PreferClose", "PreferSameZone", "PreferSameNode"]) }
        : {}),
      ...(actor.chance(0.2) ? { internalTrafficPolicy: "Local" } : {}),
      ...(actor.chance(0.2) ? { sessionAffinity: "ClientIP" } : {}),
      ...(!isHeadless && actor.chance(0.2) ? { type: actor.pick(["NodePort", "LoadBalancer"]) } : {}),
    },
  });
}

async function makePod(actor: Actor): Promise<void> {
  const selector = actor.pick(SELECTORS);
  await actor.create(any(Pod), {
    metadata: { ...actor.key(`p${actor.below(8)}`), labels: selector },
    spec: {
      terminationGracePeriodSeconds: 0,
      ...(actor.chance(0.3) ? { hostname: "h", subdomain: actor.pick(["one", "two"]) } : {}),
      containers: [
        {
          name: "c",
          image: actor.pick(["web:1", "web:1", "web:1", "web:broken", "task:ok"]),
          ports: actor.chance(0.7) ? [{ name: "http", containerPort: actor.pick([8080, 8888]) }] : [],
        },
      ],
    },
  });
}

const keyText = ({ metadata }: KubeObject): string => `${metadata.namespace}/${metadata.name}`;
const subset = (actor: Actor): object => ({
  addresses: [
    { ip: `192.0.2.${actor.below(5) + 1}` },
    ...(actor.chance(0.5) ? [{ ip: "192.0.2.9", hostname: "nine" }] : []),
  ],
  ...(actor.chance(0.3) ? { notReadyAddresses: [{ ip: "192.0.2.30" }] } : {}),
  ports: actor.pick([
    [{ port: 80 }],
    [
      { name: "a", port: 80 },
      { name: "b", port: 81, protocol: "UDP" },
    ],
  ]),
});

/** Endpoints that are not made from pods: upstream's controller does not look after changes of those that are. */
function handMade(actor: Actor): Endpoints {
  const own = new Set(actor.all(Service, ({ spec }) => spec?.selector === undefined).map(keyText));
  return actor.one(Endpoints, (endpoints) => own.has(keyText(endpoints)));
}

/** Services, the pods behind them, and endpoints made by hand. */
export const services: Family = {
  quietMs: 700,
  async begin(actor) {
    await makeService(actor);
    for (let i = 0; i < 4; i++)
      try {
        await makePod(actor);
      } catch {
        // One of that name is there.
      }
  },
  steps: {
    ...POD_STEPS,
    // Of one that is not ready upstream does not notice the end.
    async "a pod fails"(actor) {
      await endPod(
        actor,
        actor.one(Pod, (pod) => isLive(pod) && isReady(pod)),
        1,
      );
    },
    async "a pod ends well"(actor) {
      await endPod(
        actor,
        actor.one(Pod, (pod) => isLive(pod) && isReady(pod)),
        0,
      );
    },
    "a Service is made": makeService,
    "another Service is made": makeService,
    "a pod is made": makePod,
    "another pod is made": makePod,
    async "a Service selects others"(actor) {
      const service = actor.one(Service);
      const selector = actor.chance(0.2) ? null : { app: null, tier: null, ...actor.pick(SELECTORS) };
      await actor.merge(any(Service), service, { spec: { selector } });
    },
    async "a Service has other ports"(actor) {
      await actor.merge(any(Service), actor.one(Service), { spec: { ports: actor.pick(PORTS) } });
    },
    async "a Service's traffic goes otherwise"(actor) {
      const trafficDistribution = actor.pick(["PreferClose", "PreferSameZone", "PreferSameNode", null]);
      await actor.merge(any(Service), actor.one(Service), {
        spec: { trafficDistribution, publishNotReadyAddresses: actor.chance(0.4) },
      });
    },
    async "a Service's labels change"(actor) {
      await actor.merge(any(Service), actor.one(Service), {
        metadata: {
          labels: { of: actor.pick(["it", "them", null]), round: actor.pick(["1", null]) },
          annotations: { "endpoints.kubernetes.io/last-change-trigger-time": null, note: actor.pick(["a", "b"]) },
        },
      });
    },
    async "a Service is somewhere else"(actor) {
      // Of one that was headless upstream's slices say so for ever.
      const service = actor.one(Service, ({ spec }) => spec?.clusterIP !== "None");
      const spec =
        service.spec?.type === "ExternalName"
          ? { type: "ClusterIP", externalName: null, ports: [{ port: 80 }] }
          : { type: "ExternalName", externalName: "example.com", clusterIP: null, clusterIPs: null };
      await actor.merge(any(Service), service, { spec });
    },
    async "a Service is deleted"(actor) {
      await actor.remove(Service, actor.one(Service));
    },
    async "a pod's labels change"(actor) {
      const labels = { app: null, tier: null, ...actor.pick(SELECTORS) };
      await actor.merge(any(Pod), actor.one(Pod), { metadata: { labels } });
    },
    async "a slice is deleted"(actor) {
      await actor.admin.delete(EndpointSlice, keyOf(actor.one(EndpointSlice)));
    },
    async "a slice is changed by hand"(actor) {
      await actor.merge(any(EndpointSlice), actor.one(EndpointSlice), { endpoints: [] });
    },
    async "Endpoints are deleted"(actor) {
      await actor.admin.delete(Endpoints, keyOf(actor.one(Endpoints)));
    },
    async "Endpoints are changed by hand"(actor) {
      await actor.merge(any(Endpoints), handMade(actor), { subsets: [subset(actor)] });
    },
    async "Endpoints are made by hand"(actor) {
      const without = actor.all(Service, ({ spec }) => spec?.selector === undefined);
      if (without.length === 0) throw new NothingToDo();
      const { name = "" } = actor.pick(without).metadata;
      const subsets = Array.from({ length: 1 + actor.below(2) }, () => subset(actor));
      await actor.create(any(Endpoints), { metadata: { ...actor.key(name), labels: { mine: "yes" } }, subsets });
    },
    async "Endpoints are not to be mirrored, or again"(actor) {
      const labels = { "endpointslice.kubernetes.io/skip-mirror": actor.pick(["true", null]) };
      await actor.merge(any(Endpoints), handMade(actor), { metadata: { labels } });
    },
  },
};
