import type { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import type { PodTemplateSpec } from "@coracle/api/core/v1";
import { equalJson } from "@coracle/apimachinery";
import { byAge } from "../time/timestamp.ts";

export const HASH_LABEL = "pod-template-hash";
export const REVISION = "deployment.kubernetes.io/revision";
export const REVISION_HISTORY = "deployment.kubernetes.io/revision-history";
export const DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas";
export const MAX_REPLICAS = "deployment.kubernetes.io/max-replicas";

/** Asks for an earlier revision; from the days when there was a subresource for it. */
export const ROLLBACK_TO = "deprecated.deployment.rollback.to";

/** Annotations of a Deployment that are about itself and are not handed down. */
const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  ROLLBACK_TO,
]);

/** Whether an annotation is about the Deployment itself, and not handed down. */
export const isOwnAnnotation = (name: string): boolean => OWN_ANNOTATIONS.has(name);

export const replicasOf = (object: ReplicaSet | Deployment | undefined): number =>
  object === undefined ? 0 : (object.spec.replicas ?? 1);

export const sum = (sets: readonly ReplicaSet[], count: (set: ReplicaSet) => number): number =>
  sets.reduce((total, set) => total + count(set), 0);

export const availableOf = (set: ReplicaSet): number => set.status?.availableReplicas ?? 0;

export const isRolling = (deployment: Deployment): boolean => deployment.spec.strategy?.type !== "Recreate";

function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const labels = template?.metadata?.labels;
  if (labels === undefined || !(HASH_LABEL in labels)) return template ?? {};
  const { [HASH_LABEL]: _, ...rest } = labels;
  return { ...template, metadata: { ...template?.metadata, labels: rest } };
}

/** The set's template as a Deployment has it. */
export const templateOf = (set: ReplicaSet): PodTemplateSpec => withoutHash(set.spec.template);

export const equalTemplates = (a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean =>
  equalJson(normalized(a), normalized(b));

/** The set that has the Deployment's present template; the oldest one if several do. */
export function findNewReplicaSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const wanted = normalized(deployment.spec.template);
  return sets.toSorted(byAge).find((set) => equalJson(normalized(set.spec.template), wanted));
}

/** Without what the server adds at most (`creationTimestamp: null`, empty maps). */
function normalized(template: PodTemplateSpec | undefined): unknown {
  const { metadata, spec } = withoutHash(template);
  const { creationTimestamp: _, labels = {}, annotations = {}, ...rest } = metadata ?? {};
  return { spec, metadata: { ...rest, labels, annotations } };
}

/** Revisions are 64-bit numbers upstream, and people may set them. */
export function revisionOf(object: { readonly metadata: ReplicaSet["metadata"] }): bigint {
  const text = object.metadata.annotations?.[REVISION] ?? "";
  return /^[+-]?\d{1,19}$/.test(text) ? BigInt(text.replace("+", "")) : 0n;
}

/** The revision the present template gets: one above all others. */
export function nextRevision(old: readonly ReplicaSet[]): bigint {
  return old.map(revisionOf).reduce((max, each) => (each > max ? each : max), 0n) + 1n;
}

/** The annotations of `set` (or of one yet to be made) after it was made the one of `revision`. */
export function annotationsForNewSet(
  deployment: Deployment,
  set: ReplicaSet | undefined,
  revision: bigint,
): Readonly<Record<string, string>> {
  const annotations: Record<string, string> = { ...set?.metadata.annotations };
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {}))
    if (!OWN_ANNOTATIONS.has(key)) annotations[key] = value;
  const before = annotations[REVISION];
  if (set === undefined || revisionOf(set) < revision) {
    annotations[REVISION] = String(revision);
    if (set !== undefined && before !== undefined && before !== "") {
      const history = annotations[REVISION_HISTORY];
      annotations[REVISION_HISTORY] = history === undefined || history === "" ? before : `${history},${before}`;
    }
  }
  return annotations;
}
