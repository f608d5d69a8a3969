import type { KubeObject, ResourceType } from "@coracle/api";
import { ControllerRevision } from "@coracle/api/apps/v1";
import type { PodTemplateSpec } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { equalJson, isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import type { Lister } from "@coracle/client";
import { claim, controllerReference, isControlledBy, type ControllerDeps } from "@coracle/controller-kit";
import { canonicalJson, safeHash } from "../templates/hash.ts";

export const REVISION_HASH = "controller-revision-hash";

export interface HistoryOptions {
  readonly client: ControllerDeps["client"];
  readonly type: ResourceType<KubeObject>;
  readonly owner: KubeObject;
  readonly selector: LabelSelector | undefined;
  readonly template: PodTemplateSpec;
  readonly collisionCount: number | undefined;
  /** With the `byController` index. */
  readonly lister: Lister<ControllerRevision>;
  readonly signal: AbortSignal;
}

/** The stored templates of one owner. */
export interface History {
  /** Oldest first; the last one is `update`. */
  readonly all: readonly ControllerRevision[];
  /** The one of the present template. */
  readonly update: ControllerRevision;
  readonly collisionCount: number | undefined;
}

/** Under which label a revision shows its hash: StatefulSets do it otherwise than DaemonSets, and than their own pods. */
const HASH_LABELS: Readonly<Record<string, string>> = { StatefulSet: "controller.kubernetes.io/hash" };
const hashLabel = (kind: string): string => HASH_LABELS[kind] ?? REVISION_HASH;

export const hashOf = ({ metadata: { labels } }: ControllerRevision): string =>
  labels?.[REVISION_HASH] ?? labels?.[hashLabel("StatefulSet")] ?? "";

/**
 * Finds or makes the revision of the present template, and makes it the newest. Undefined: the owner is on its way out,
 * and its revisions are left as they are; one may have been let go already, and is not to be made anew.
 */
export async function syncHistory(options: HistoryOptions): Promise<History | undefined> {
  const { client, type, owner, selector, template, lister, signal } = options;
  let { collisionCount } = options;
  const claimed = await claim({ client, ownerType: type, owner, selector, type: ControllerRevision, lister, signal });
  const known = claimed.toSorted((a, b) => a.revision - b.revision);
  // Members in the order of their names: others compare what is stored byte by byte.
  const data: unknown = JSON.parse(canonicalJson({ spec: { template: { ...template, $patch: "replace" } } }));
  const newest = (known.at(-1)?.revision ?? 0) + 1;

  const equal = known.findLast((revision) => equalJson(revision.data, data));
  if (owner.metadata.deletionTimestamp !== undefined && (equal === undefined || equal !== known.at(-1)))
    return undefined;
  if (equal !== undefined) {
    const others = known.filter((revision) => revision !== equal);
    if (equal === known.at(-1)) return { all: known, update: equal, collisionCount };
    const update = await client.update(ControllerRevision, { ...equal, revision: newest }, { signal });
    return { all: [...others, update], update, collisionCount };
  }
  for (;;) {
    const made = newRevision(options, data, collisionCount, newest);
    try {
      const update = await client.create(ControllerRevision, made, { signal });
      return { all: [...known, update], update, collisionCount };
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const { namespace, name = "" } = made.metadata;
      const present = await client.get(ControllerRevision, { namespace, name }, { signal });
      if (isControlledBy(present, owner) && equalJson(present.data, data))
        return { all: [...known, present], update: present, collisionCount };
      collisionCount = (collisionCount ?? 0) + 1; // another template has this hash
    }
  }
}

function newRevision(
  { type, owner, template }: HistoryOptions,
  data: unknown,
  collisionCount: number | undefined,
  revision: number,
): ControllerRevision {
  const hash = safeHash(data, collisionCount);
  const { name = "", namespace, annotations } = owner.metadata;
  return {
    metadata: {
      name: `${name.slice(0, 223)}-${hash}`,
      namespace,
      labels: { ...template.metadata?.labels, [hashLabel(type.kind)]: hash },
      annotations,
      ownerReferences: [controllerReference(type, owner)],
    },
    data,
    revision,
  };
}

/**
 * The oldest revisions that no pod has, beyond what is to be kept of those that are not the present one: of all of these
 * (`countsUsed`: DaemonSets), or of those alone that no pod has.
 */
export function surplusRevisions(
  { all, update }: Pick<History, "all" | "update">,
  inUse: ReadonlySet<string>,
  { limit, countsUsed }: { readonly limit: number; readonly countsUsed: boolean },
): readonly ControllerRevision[] {
  const earlier = all.filter((revision) => revision !== update);
  const unused = earlier.filter((revision) => !inUse.has(hashOf(revision)));
  return unused.slice(0, Math.max(0, (countsUsed ? earlier : unused).length - limit));
}

/** Deletes revisions. */
export async function deleteRevisions(
  { client, signal }: Pick<HistoryOptions, "client" | "signal">,
  revisions: readonly ControllerRevision[],
): Promise<void> {
  for (const { metadata } of revisions) {
    try {
      await client.delete(ControllerRevision, { namespace: metadata.namespace, name: metadata.name ?? "" }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
