import {
  PersistentVolume,
  PersistentVolumeClaim,
  type NodeSelectorTerm,
  type PersistentVolumeSpec,
  type PodSpec,
  type Volume,
} from "@coracle/api/core/v1";
import { CSIDriver, CSINode, CSIStorageCapacity, StorageClass } from "@coracle/api/storage/v1";
import type { Draw } from "./draw.ts";
import { seed, ZONES, type NodeSeed, type Seed } from "./random-cluster.ts";

const namespace = "default";
const CLAIMS_EACH = 14;
const DRIVER = "csi.example.com";
const CAPPED = "capped.example.com";
const ZONE_KEY = "topology.kubernetes.io/zone";

const resources = { requests: { storage: "1Gi" } };
const claimVolume = (claimName: string): Volume => ({ name: claimName, persistentVolumeClaim: { claimName } });

function classes(draw: Draw): Seed[] {
  const late = { volumeBindingMode: "WaitForFirstConsumer" } as const;
  const zones = draw.maybe(50, () => ({
    allowedTopologies: [{ matchLabelExpressions: [{ key: ZONE_KEY, values: draw.some(ZONES, 1, 2) }] }],
  }));
  return [
    seed(StorageClass, { metadata: { name: "now" }, provisioner: DRIVER, volumeBindingMode: "Immediate" }),
    seed(StorageClass, { metadata: { name: "late" }, provisioner: "kubernetes.io/no-provisioner", ...late }),
    seed(StorageClass, { metadata: { name: "dynamic" }, provisioner: DRIVER, ...late, ...zones }),
    seed(StorageClass, { metadata: { name: "capped" }, provisioner: CAPPED, ...late }),
    seed(CSIDriver, { metadata: { name: DRIVER }, spec: { attachRequired: true } }),
    seed(CSIDriver, { metadata: { name: CAPPED }, spec: { attachRequired: false, storageCapacity: true } }),
    ...ZONES.filter(() => draw.chance(70)).map((zone) =>
      seed(CSIStorageCapacity, {
        metadata: { namespace, name: `in-${zone}` },
        storageClassName: "capped",
        nodeTopology: { matchLabels: { [ZONE_KEY]: zone } },
        capacity: draw.pick(["500Mi", "5Gi"]),
        ...draw.maybe(30, () => ({ maximumVolumeSize: draw.pick(["500Mi", "2Gi"]) })),
      }),
    ),
  ];
}

function whereabouts(draw: Draw, nodes: readonly NodeSeed[]): { readonly nodeAffinity?: object } {
  const key = draw.pick(["kubernetes.io/hostname", ZONE_KEY]);
  const values = key === ZONE_KEY ? draw.some(ZONES, 1, 2) : draw.some(nodes, 1, 4).map(({ name }) => name);
  const term: NodeSelectorTerm = { matchExpressions: [{ key, operator: "In", values }] };
  return draw.maybe(70, () => ({ nodeAffinity: { required: { nodeSelectorTerms: [term] } } }));
}

/** A claim that is bound to a volume of its own name. */
function bound(draw: Draw, nodes: readonly NodeSeed[], i: number): Seed[] {
  const name = `bound-${i}`;
  const accessModes = [draw.pick(["ReadWriteOnce", "ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany"])];
  const source: Partial<PersistentVolumeSpec> = draw.chance(60)
    ? { csi: { driver: DRIVER, volumeHandle: name } }
    : { hostPath: { path: "/data" } };
  const isZonal = draw.chance(50);
  const labels = draw.maybe(isZonal ? 100 : 0, () => ({ labels: { [ZONE_KEY]: draw.pick(["a", "b", "c", "a__b"]) } }));
  const spec = { accessModes, capacity: { storage: "1Gi" }, storageClassName: "" };
  return [
    seed(
      PersistentVolume,
      {
        metadata: { name, ...labels },
        spec: { ...spec, ...source, ...(isZonal ? {} : whereabouts(draw, nodes)), claimRef: { namespace, name } },
      },
      { phase: "Bound" },
    ),
    seed(
      PersistentVolumeClaim,
      {
        metadata: { namespace, name, annotations: { "pv.kubernetes.io/bind-completed": "yes" } },
        spec: { accessModes, storageClassName: "", volumeName: name, resources },
      },
      { phase: "Bound" },
    ),
  ];
}

export function randomStorage(draw: Draw, nodes: readonly NodeSeed[]): Seed[] {
  const each = [...Array(CLAIMS_EACH).keys()];
  const claim = (name: string, storageClassName: string): Seed =>
    seed(PersistentVolumeClaim, {
      metadata: { namespace, name },
      spec: {
        accessModes: ["ReadWriteOnce"],
        storageClassName,
        resources: { requests: { storage: draw.pick(["1Gi", "3Gi"]) } },
      },
    });
  return [
    ...classes(draw),
    ...each.flatMap((i) => bound(draw, nodes, i)),
    ...each
      .filter(() => draw.chance(60))
      .map((i) =>
        seed(
          PersistentVolume,
          {
            metadata: { name: `static-${i}` },
            spec: {
              accessModes: ["ReadWriteOnce"],
              capacity: { storage: draw.pick(["1Gi", "2Gi", "5Gi"]) },
              storageClassName: "late",
              hostPath: { path: "/data" },
              ...whereabouts(draw, nodes),
            },
          },
          { phase: "Available" },
        ),
      ),
    ...["late", "dynamic", "capped"].flatMap((kind) => each.map((i) => claim(`${kind}-${i}`, kind))),
    claim("unbound", "now"),
    claim("classless", ""),
    claim("unknown-class", "nowhere"),
    seed(
      PersistentVolumeClaim,
      {
        metadata: { namespace, name: "lost", annotations: { "pv.kubernetes.io/bind-completed": "yes" } },
        spec: { accessModes: ["ReadWriteOnce"], storageClassName: "", volumeName: "gone", resources },
      },
      { phase: "Lost" },
    ),
    ...nodes
      .filter(() => draw.chance(85))
      .map(({ name }) =>
        seed(CSINode, {
          metadata: { name },
          spec: {
            drivers: [
              { name: DRIVER, nodeID: name, topologyKeys: [], allocatable: { count: draw.between(0, 2) } },
              ...(draw.chance(60) ? [{ name: CAPPED, nodeID: name, topologyKeys: [ZONE_KEY] }] : []),
            ],
          },
        }),
      ),
  ];
}

/** Volumes of a pod in the default namespace. */
export function randomVolumes(draw: Draw, pod: number): Partial<PodSpec> {
  const number = draw.between(0, CLAIMS_EACH - 1);
  const kinds: Readonly<Record<string, () => Volume>> = {
    bound: () => claimVolume(`bound-${number}`),
    "bound too": () => claimVolume(`bound-${draw.between(0, CLAIMS_EACH - 1)}`),
    late: () => claimVolume(`late-${number}`),
    dynamic: () => claimVolume(`dynamic-${number}`),
    capped: () => claimVolume(`capped-${number}`),
    odd: () => claimVolume(draw.pick(["unbound", "classless", "unknown-class", "lost", "missing"])),
    disk: () => ({ name: "disk", gcePersistentDisk: { pdName: draw.pick(["d1", "d2"]), readOnly: draw.chance(40) } }),
    iscsi: () => ({
      name: "iscsi",
      iscsi: { targetPortal: "10.0.0.1:3260", iqn: "iqn.2026-01.local:x", lun: 0, readOnly: draw.chance(40) },
    }),
    rbd: () => ({
      name: "rbd",
      rbd: { monitors: draw.some(["m1", "m2"], 1, 2), image: "i", pool: "p", readOnly: draw.chance(40) },
    }),
    inline: () => ({ name: "inline", csi: { driver: DRIVER } }),
    ephemeral: () => ({
      name: "scratch",
      ephemeral: {
        volumeClaimTemplate: {
          spec: { accessModes: ["ReadWriteOnce"], storageClassName: "dynamic", resources },
        },
      },
    }),
    empty: () => ({ name: `empty-${pod}`, emptyDir: {} }),
  };
  const volumes = draw.some(Object.keys(kinds), 1, 2).flatMap((kind) => kinds[kind]?.() ?? []);
  return { volumes: volumes.filter((one, i) => volumes.findIndex(({ name }) => name === one.name) === i) };
}
