import { apiVersionOf, type KubeObject, type ResourceType } from "@coracle/api";
import type { LabelSelector, OwnerReference } from "@coracle/api/meta/v1";
import { isNotFound, isStatusError } from "@coracle/apimachinery";
import type { ApiClient, InformerOptions, Lister } from "@coracle/client";
import { labelMatcher } from "../selector/label-selector.ts";

/** The reference to the object's controller, if it has one. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/** True when `owner` is the object's controller. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid;
}

/** The reference that makes `owner` the controller of what carries it. */
export function controllerReference<T extends KubeObject>(type: ResourceType<T>, owner: KubeObject): OwnerReference {
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name: owner.metadata.name ?? "",
    uid: owner.metadata.uid ?? "",
    controller: true,
    blockOwnerDeletion: true,
  };
}

const BY_CONTROLLER = "controller";

/** Index that `claim` and `controlledBy` read: objects under their controller's uid, or as orphans of a namespace. */
export const byController: NonNullable<InformerOptions<KubeObject>["indexes"]> = {
  [BY_CONTROLLER]: (object) => [controllerOf(object)?.uid ?? `${object.metadata.namespace ?? ""}/`],
};

/** Objects whose controller is `owner`; needs the `byController` index. */
export function controlledBy<T extends KubeObject>(lister: Lister<T>, owner: KubeObject): readonly T[] {
  return lister.byIndex(BY_CONTROLLER, owner.metadata.uid ?? "");
}

export interface ClaimOptions<O extends KubeObject, T extends KubeObject> {
  readonly client: ApiClient;
  readonly ownerType: ResourceType<O>;
  readonly owner: O;
  readonly selector: LabelSelector | undefined;
  readonly type: ResourceType<T>;
  /** With the `byController` index. */
  readonly lister: Lister<T>;
  /** Extra condition for adoption. */
  readonly mayAdopt?: ((object: T) => boolean) | undefined;
  /** Finalizers that an adopted object gets. */
  readonly finalizers?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The objects that belong to `owner`: adopts orphans that its selector matches, and lets go of those it no longer
 * matches. Two owners with overlapping selectors never fight: only orphans are adopted. An owner that is being
 * deleted adopts nothing; before the first adoption the server is asked whether that is so.
 */
export async function claim<O extends KubeObject, T extends KubeObject>(
  options: ClaimOptions<O, T>,
): Promise<readonly T[]> {
  const { client, ownerType, owner, selector, type, lister, signal, finalizers, mayAdopt = () => true } = options;
  const matches = labelMatcher(selector);
  const isDeleted = owner.metadata.deletionTimestamp !== undefined;
  const claimed: T[] = [];

  for (const object of controlledBy(lister, owner)) {
    if (matches(object.metadata.labels)) claimed.push(object);
    else if (!isDeleted) {
      const { namespace, name = "", uid } = object.metadata;
      const ownerReferences = [{ $patch: "delete", uid: owner.metadata.uid }];
      await tolerateGone(
        client.patch(type, { namespace, name }, "strategic", { metadata: { ownerReferences, uid } }, { signal }),
      );
    }
  }
  if (isDeleted) return claimed;

  let confirmed: boolean | undefined;
  for (const object of lister.byIndex(BY_CONTROLLER, `${owner.metadata.namespace ?? ""}/`)) {
    if (object.metadata.deletionTimestamp !== undefined || !matches(object.metadata.labels) || !mayAdopt(object))
      continue;
    confirmed ??= await isStillThere(options);
    if (!confirmed) break;
    const { namespace, name = "", uid } = object.metadata;
    const ownerReferences = [controllerReference(ownerType, owner)];
    const metadata = { ownerReferences, uid, ...(finalizers === undefined ? {} : { finalizers }) };
    const adopted = await tolerateGone(client.patch(type, { namespace, name }, "strategic", { metadata }, { signal }));
    if (adopted !== undefined) claimed.push(adopted);
  }
  return claimed;
}

async function isStillThere<O extends KubeObject, T extends KubeObject>(options: ClaimOptions<O, T>): Promise<boolean> {
  const { client, ownerType, owner, signal } = options;
  const { namespace, name = "", uid } = owner.metadata;
  try {
    const fresh = await client.get(ownerType, { namespace, name }, { signal });
    return fresh.metadata.uid === uid && fresh.metadata.deletionTimestamp === undefined;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** The object is gone, or another has taken its name, or the reference was removed already: nothing left to do. */
async function tolerateGone<T>(patch: Promise<T>): Promise<T | undefined> {
  try {
    return await patch;
  } catch (error) {
    if (isNotFound(error) || isStatusError(error, "Invalid", "Conflict")) return undefined;
    throw error;
  }
}
