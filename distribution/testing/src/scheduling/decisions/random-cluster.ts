import type { KubeObject, ResourceType } from "@coracle/api";
import { Namespace, Node, Pod, ServiceAccount, Service, type Taint } from "@coracle/api/core/v1";
import { RuntimeClass } from "@coracle/api/node/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { PriorityClass } from "@coracle/api/scheduling/v1";
import type { Draw } from "./draw.ts";
import { APPS, NAMESPACES, PRIORITIES, randomLabels, randomRequests, randomTerm } from "./random-pod.ts";

/** Something to be created, and what its status is then to be where the server drops it. */
export interface Seed {
  readonly type: ResourceType<KubeObject>;
  readonly object: KubeObject;
  readonly status?: object;
}

/** A seed of a kind that says nothing of its kind's type. */
export const seed = <T extends KubeObject>(type: ResourceType<T>, object: T, status?: object): Seed => ({
  type: type as unknown as ResourceType<KubeObject>,
  object,
  ...(status === undefined ? {} : { status }),
});

export const ZONES = ["a", "b", "c"] as const;
const IMAGES = ["registry.local/big:1", "registry.local/small:1", "docker.io/library/app:latest"] as const;
const MEGABYTE = 1024 * 1024;

/** Moments that no two pods share: of pods that are alike the younger leaves. */
export class Moments {
  #next = Date.UTC(2026, 0, 1);

  next(): string {
    this.#next += 1000;
    return `${new Date(this.#next).toISOString().slice(0, 19)}Z`;
  }
}

/** What every cluster has, whatever the lot: namespaces, accounts, priorities, classes. */
export function fixedSeeds(): Seed[] {
  const seeds: Seed[] = [];
  for (const [name, labels] of Object.entries(NAMESPACES)) {
    if (name !== "default") seeds.push(seed(Namespace, { metadata: { name, labels }, spec: {} }));
    seeds.push(seed(ServiceAccount, { metadata: { namespace: name, name: "default" } }));
  }
  for (const [name, { value, preemptionPolicy }] of Object.entries(PRIORITIES))
    seeds.push(seed(PriorityClass, { metadata: { name }, value, preemptionPolicy }));
  seeds.push(
    seed(RuntimeClass, {
      metadata: { name: "heavy" },
      handler: "heavy",
      overhead: { podFixed: { cpu: "250m", memory: "256Mi" } },
    }),
    seed(RuntimeClass, {
      metadata: { name: "on-ssd" },
      handler: "on-ssd",
      scheduling: { nodeSelector: { disk: "ssd" }, tolerations: [{ key: "dedicated", operator: "Exists" }] },
    }),
  );
  for (const app of APPS)
    seeds.push(
      seed(Service, {
        metadata: { namespace: "default", name: `of-${app}` },
        spec: { selector: { app }, ports: [{ port: 80 }] },
      }),
    );
  return seeds;
}

function randomTaints(draw: Draw): Taint[] {
  return [
    ...(draw.chance(15) ? [{ key: "dedicated", value: draw.pick(["x", "y"]), effect: "NoSchedule" as const }] : []),
    ...(draw.chance(15) ? [{ key: "slow", value: draw.pick(["1", "2"]), effect: "PreferNoSchedule" as const }] : []),
    ...(draw.chance(8) ? [{ key: "evict", effect: "NoExecute" as const }] : []),
    ...(draw.chance(8) ? [{ key: "generation", value: draw.pick(["3", "7"]), effect: "NoSchedule" as const }] : []),
  ];
}

/** Names of the nodes, and how each came out. */
export interface NodeSeed extends Seed {
  readonly name: string;
  /** What the server adds to a new node goes again. */
  readonly spec: { readonly taints: readonly Taint[]; readonly unschedulable: boolean };
}

export function randomNodes(draw: Draw): NodeSeed[] {
  // In a roomy cluster others than those who count resources have their say.
  const isRoomy = draw.chance(60);
  return draw.times(10, draw.chance(30) ? 60 : 25, (i) => {
    const name = `n${i}`;
    const labels = {
      "kubernetes.io/hostname": name,
      "topology.kubernetes.io/region": "r",
      ...draw.maybe(90, () => ({ "topology.kubernetes.io/zone": draw.pick(ZONES) })),
      ...draw.maybe(60, () => ({ disk: draw.pick(["ssd", "hdd"]) })),
      ...draw.maybe(70, () => ({ rack: draw.pick(["r1", "r2", "r3", "r4"]) })),
      ...draw.maybe(60, () => ({ generation: String(draw.between(1, 9)) })),
    };
    const size = {
      cpu: draw.pick(isRoomy ? ["8", "16", "7500m"] : ["1", "2", "4", "8", "3500m"]),
      memory: draw.pick(isRoomy ? ["16Gi", "32Gi"] : ["2Gi", "4Gi", "8Gi", "16Gi"]),
      pods: String(draw.chance(30) ? draw.between(3, 6) : draw.between(8, 30)),
      "ephemeral-storage": draw.pick(["5Gi", "50Gi"]),
      ...draw.maybe(40, () => ({ "example.com/gpu": String(draw.between(0, 4)) })),
      ...draw.maybe(40, () => ({ "hugepages-2Mi": draw.pick(["0", "64Mi", "256Mi"]) })),
    };
    const images = draw
      .some(IMAGES, 0, 3)
      .map((image) => ({ names: [image], sizeBytes: MEGABYTE * (image.includes("small") ? 20 : 700) }));
    const spec = { taints: randomTaints(draw), unschedulable: draw.chance(7) };
    return {
      name,
      spec,
      ...seed(Node, { metadata: { name, labels }, spec: {}, status: { capacity: size, allocatable: size, images } }),
    };
  });
}

/** Pods that are somewhere already, whether they fit or not. */
export function randomResidents(draw: Draw, nodes: readonly NodeSeed[], moments: Moments): Seed[] {
  let count = 0;
  return nodes.flatMap(({ name: nodeName }) =>
    draw.times(0, 4, (i) => {
      const labels = randomLabels(draw);
      const namespace = draw.pick(["default", "default", "team-a", "team-b"]);
      const affinity = {
        ...draw.maybe(12, () => ({
          podAntiAffinity: draw.chance(60)
            ? { requiredDuringSchedulingIgnoredDuringExecution: [randomTerm(draw)] }
            : {
                preferredDuringSchedulingIgnoredDuringExecution: [
                  { weight: draw.between(1, 100), podAffinityTerm: randomTerm(draw) },
                ],
              },
        })),
        ...draw.maybe(12, () => ({
          podAffinity: draw.chance(50)
            ? { requiredDuringSchedulingIgnoredDuringExecution: [randomTerm(draw)] }
            : {
                preferredDuringSchedulingIgnoredDuringExecution: [
                  { weight: draw.between(1, 100), podAffinityTerm: randomTerm(draw) },
                ],
              },
        })),
      };
      const hostPort = draw.pick([8080, 8081]);
      return seed(
        Pod,
        {
          metadata: { namespace, name: `resident-${count++}`, labels },
          spec: {
            nodeName,
            automountServiceAccountToken: false,
            terminationGracePeriodSeconds: 0,
            affinity,
            ...draw.maybe(60, () => ({ priorityClassName: draw.pick(["low", "low", "middle", "high"]) })),
            containers: [
              {
                name: "c",
                image: "registry.local/small:1",
                resources: randomRequests(draw),
                // Nobody has two pods with the same port on a node.
                ...(i > 0 ? {} : draw.maybe(45, () => ({ ports: [{ containerPort: 80, hostPort }] }))),
              },
            ],
          },
        },
        { startTime: moments.next(), ...draw.maybe(5, () => ({ phase: "Succeeded" })) },
      );
    }),
  );
}

export function randomBudgets(draw: Draw): Seed[] {
  return draw.times(0, 3, (i) =>
    seed(
      PodDisruptionBudget,
      {
        metadata: { namespace: draw.pick(["default", "team-a"]), name: `budget-${i}` },
        spec: {
          minAvailable: 1,
          selector: draw.chance(15) ? {} : { matchLabels: { app: draw.pick(APPS) } },
        },
      },
      { disruptionsAllowed: draw.between(0, 2), currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 },
    ),
  );
}
