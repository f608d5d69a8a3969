import type { KubeObject, ResourceType } from "@coracle/api";
import { Pod, type PodTemplateSpec } from "@coracle/api/core/v1";
import type { ObjectMeta } from "@coracle/api/meta/v1";
import { isNotFound } from "@coracle/apimachinery";
import { referenceTo } from "@coracle/client";
import { controllerReference, isNamespaceTerminating, type ControllerDeps } from "@coracle/controller-kit";

/** A pod as `template` wants it, owned by `owner`, after whose name it is called. */
export function podFromTemplate(
  type: ResourceType<KubeObject>,
  owner: KubeObject,
  template: PodTemplateSpec,
  metadata: ObjectMeta = {},
): Pod {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  return {
    metadata: {
      generateName: podNamePrefix(owner.metadata.name ?? ""),
      namespace: owner.metadata.namespace,
      labels,
      annotations,
      finalizers,
      ownerReferences: [controllerReference(type, owner)],
      ...metadata,
    },
    spec: template.spec ?? { containers: [] },
  };
}

/** `NAME-`, or `NAME` when that would be no valid prefix. */
function podNamePrefix(ownerName: string): string {
  return ownerName.length > 253 - 1 ? ownerName : `${ownerName}-`;
}

/** Creates a pod and tells about it on its owner. */
export async function createPod(
  deps: Pick<ControllerDeps, "client" | "recorder">,
  type: ResourceType<KubeObject>,
  owner: KubeObject,
  pod: Pod,
  signal: AbortSignal,
): Promise<Pod> {
  try {
    const created = await deps.client.create(Pod, pod, { metadataOnly: true, signal });
    const message = `Created pod: ${created.metadata.name}`;
    deps.recorder.event(referenceTo(type, owner), "Normal", "SuccessfulCreate", message);
    return created;
  } catch (error) {
    if (!isNamespaceTerminating(error) && !signal.aborted) {
      const message = `Error creating: ${(error as Error).message}`;
      deps.recorder.event(referenceTo(type, owner), "Warning", "FailedCreate", message);
    }
    throw error;
  }
}

/** Deletes a pod and tells about it on its owner. Rejects with NotFound when it is gone already. */
export async function deletePod(
  deps: Pick<ControllerDeps, "client" | "recorder">,
  type: ResourceType<KubeObject>,
  owner: KubeObject,
  pod: Pod,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name = "" } = pod.metadata;
  try {
    await deps.client.delete(Pod, { namespace, name }, { signal });
    deps.recorder.event(referenceTo(type, owner), "Normal", "SuccessfulDelete", `Deleted pod: ${name}`);
  } catch (error) {
    if (!isNotFound(error) && !signal.aborted) {
      const message = `Error deleting: ${(error as Error).message}`;
      deps.recorder.event(referenceTo(type, owner), "Warning", "FailedDelete", message);
    }
    throw error;
  }
}
