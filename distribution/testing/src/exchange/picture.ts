import type { KubeObject, ResourceType } from "@coracle/api";
import { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { CronJob, Job } from "@coracle/api/batch/v1";
import {
  Endpoints,
  Event,
  PersistentVolumeClaim,
  Pod,
  ReplicationController,
  ResourceQuota,
} from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import type { ApiClient } from "@coracle/client";

/** A type of which only what all objects have is of interest. */
export const any = (type: unknown): ResourceType<KubeObject> => type as ResourceType<KubeObject>;

/** What a picture shows. */
export const KINDS = [
  any(Deployment),
  any(ReplicaSet),
  any(StatefulSet),
  any(DaemonSet),
  any(ControllerRevision),
  any(Job),
  any(CronJob),
  any(ReplicationController),
  any(Pod),
  any(PersistentVolumeClaim),
  any(Endpoints),
  any(EndpointSlice),
  any(PodDisruptionBudget),
  any(ResourceQuota),
];

/** What controllers tell of an object: the kind and name of it, the reason, and the text. */
type Told = string;

/** All that controllers leave in a namespace, without what differs from run to run: times, generated names, uids, addresses. */
export interface Picture {
  readonly objects: Readonly<Record<string, readonly unknown[]>>;
  readonly events: readonly Told[];
}

export async function pictureOf(admin: ApiClient, namespace: string): Promise<Picture> {
  const lists = new Map<string, readonly KubeObject[]>();
  for (const type of KINDS) lists.set(type.kind, (await admin.list(type, { namespace })).items);
  return pictureFrom(lists, (await admin.list(Event, { namespace })).items).picture;
}

/** A picture, and the objects of it by their kinds in an order that is the same on all sides. */
export interface OrderedPicture {
  readonly picture: Picture;
  readonly ordered: ReadonlyMap<string, readonly KubeObject[]>;
}

/** The picture of these objects (by their kinds) and of what is told of them. */
export function pictureFrom(
  lists: ReadonlyMap<string, readonly KubeObject[]>,
  events: readonly Event[],
): OrderedPicture {
  const rename = renamer([...lists].flatMap(([kind, items]) => items.map((item) => [kind, item] as const)));
  const objects: Record<string, readonly unknown[]> = {};
  const ordered = new Map<string, readonly KubeObject[]>();
  for (const [kind, items] of lists) {
    if (items.length === 0) continue;
    const all = items
      .map((item) => ({ item, text: JSON.stringify(JSON.parse(rename(JSON.stringify(plain(kind, item)))), inOrder) }))
      .toSorted((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
    objects[kind] = all.map(({ text }) => JSON.parse(text) as unknown);
    ordered.set(
      kind,
      all.map(({ item }) => item),
    );
  }
  const told = events
    .filter((event) => (event.source?.component ?? event.reportingComponent) !== "default-scheduler")
    .filter((event) => event.involvedObject.kind !== "Node" && event.message?.includes("has been modified") !== true)
    .map(({ involvedObject: { kind, name }, type, reason, message = "" }) => {
      // How large the steps are is a matter of who was quicker.
      const text = reason === "ScalingReplicaSet" ? message.replace(/ (from )?\d+ to \d+/, "") : message;
      return rename(`${kind} ${name}: ${type} ${reason}: ${text.replace("(combined from similar events): ", "")}`)
        .replaceAll(/HASH\d+/g, "HASH")
        .replace(/ Chose "\S+" arbitrarily/, "");
    });
  return { picture: { objects, events: [...new Set(told)].toSorted() }, ordered };
}

/** Replaces names that are made up by what they are made from. */
function renamer(objects: readonly (readonly [string, KubeObject])[]): (text: string) => string {
  const names: [string, string][] = [];
  const revision = (object: KubeObject): number =>
    Number(
      object.metadata.annotations?.["deployment.kubernetes.io/revision"] ??
        (object as KubeObject & { readonly revision?: number }).revision ??
        0,
    );
  for (const [kind, object] of objects) {
    const { name = "", generateName, labels } = object.metadata;
    const owner = object.metadata.ownerReferences?.[0]?.name ?? "";
    const hash = kind === "ReplicaSet" ? labels?.["pod-template-hash"] : undefined;
    if (kind === "ReplicaSet" && hash !== undefined) names.push([hash, `HASH${revision(object)}`]);
    if (kind === "ControllerRevision" && owner !== "")
      names.push([name.slice(owner.length + 1), `HASH${revision(object)}`]);
    if (generateName !== undefined && generateName !== "") names.push([name, `${generateName}*`]);
    else if (kind === "EndpointSlice" && owner !== "") names.push([name, `${owner}-*`]);
  }
  names.sort(([a], [b]) => b.length - a.length);
  return (text) => {
    let plain = text;
    for (const [name, replacement] of names) plain = plain.replaceAll(name, replacement);
    for (const [name, replacement] of names) plain = plain.replaceAll(name, replacement); // names within names
    return (
      plain
        .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?/g, "TIME")
        .replaceAll(/\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b/g, "UID")
        // Of objects that are gone.
        .replaceAll(/(web|db|agent)-[b-df-hj-np-tv-xz2456789]{8,10}\b/g, "$1-HASH")
        .replaceAll(/pods \\?"(\S+-)\w{5}\\?"/g, "pods $1*")
        .replaceAll(
          /"(pod-template-hash|controller-revision-hash|controller.kubernetes.io\/hash)":"(?!\w*-?HASH)\w+"/g,
          '"$1":"HASH"',
        )
        .replaceAll(/\b10\.244\.\d+\.\d+\b/g, "ADDRESS")
        .replaceAll(/"name":"n\d"/g, '"name":"NODE"')
        .replaceAll(/kube-api-access-\w{5}/g, "kube-api-access-*")
        .replaceAll(/-\d{8}\b/g, "-MINUTE")
        .replaceAll(/(Job|Pod|ReplicaSet|pod|job)( \S+-)[a-z0-9]{5}\b/g, "$1$2*")
        .replaceAll(/(ed pod: \S+-)[a-z0-9]{5}\b/g, "$1*")
    );
  };
}

const TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time";

function plain(kind: string, object: KubeObject): unknown {
  const copy = structuredClone(object) as Record<string, unknown> & {
    metadata: Record<string, unknown> & { annotations?: Record<string, unknown> | undefined };
    spec?: Record<string, unknown>;
    status?: Record<string, unknown>;
  };
  const { metadata, spec, status } = copy;
  for (const field of ["uid", "resourceVersion", "managedFields", "creationTimestamp", "selfLink"])
    delete metadata[field];
  // How often a set was resized is a matter of who was quicker.
  if (["ReplicaSet", "EndpointSlice", "Pod"].includes(kind)) {
    delete metadata["generation"];
    delete status?.["observedGeneration"];
  }
  if (kind === "Node") {
    const { conditions } = (status ?? {}) as { conditions?: { type: string; status: string; reason: string }[] };
    copy.status = { conditions: (conditions ?? []).map((each) => [each.type, each.status, each.reason]) };
  }
  // Given by each server at its own time, of its own choice.
  if (kind === "Service") for (const field of ["clusterIP", "clusterIPs", "healthCheckNodePort"]) delete spec?.[field];
  if (kind === "ConfigMap" && metadata["name"] === "kube-root-ca.crt") delete copy["data"];
  // Whether a pass has a change of its own to tell of depends on how many it is for.
  if (kind === "Endpoints" || kind === "EndpointSlice") {
    const { [TRIGGER_TIME]: _, ...annotations } = copy.metadata.annotations ?? {};
    copy.metadata.annotations = Object.keys(annotations).length === 0 ? undefined : annotations;
  }
  // Upstream forgets that the name of a mirror was made up when it changes it.
  if (kind === "EndpointSlice") delete metadata["generateName"];
  // Which of several equal volumes it is, is chance.
  if (kind === "PersistentVolumeClaim") delete spec?.["volumeName"];
  if (kind === "Pod") {
    // Which of several nodes has its daemon replaced first is chance.
    if (object.metadata.ownerReferences?.[0]?.kind === "DaemonSet") delete spec?.["affinity"];
    delete spec?.["nodeName"];
    const { phase, conditions } = (status ?? {}) as { phase?: string; conditions?: { type: string }[] };
    copy.status = { phase, conditions: (conditions ?? []).filter(({ type }) => type === "DisruptionTarget") };
  }
  return JSON.parse(
    JSON.stringify(copy, (key, value: unknown) =>
      key === "uid" ||
      key === "nodeName" ||
      key === "nodePort" ||
      key === "resourceVersion" ||
      key.startsWith("controller-uid") ||
      key.endsWith("/controller-uid")
        ? undefined
        : sorted(value),
    ),
  );
}

/** Lists whose order means nothing get one. */
function inOrder(key: string, value: unknown): unknown {
  if (!isUnordered(key, value)) return value;
  const textOf = (each: unknown): string => JSON.stringify(each, inOrder);
  return value.toSorted((a, b) => (textOf(a) < textOf(b) ? -1 : 1));
}

/** Lists whose order means nothing. */
function isUnordered(key: string, value: unknown): value is readonly unknown[] {
  return (
    Array.isArray(value) &&
    ["conditions", "endpoints", "addresses", "notReadyAddresses", "ports", "subsets", "taints"].includes(key)
  );
}

/** Members in the order of their names, and nothing that is nothing. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}
