import { Pod, type PodResourceClaim } from "@coracle/api/core/v1";
import { ResourceClaim, ResourceClaimTemplate } from "@coracle/api/resource/v1";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  defineController,
  done,
  isNamespaceTerminating,
  mapped,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import type { StorageMonitor } from "../storage-metrics/storage-monitor.ts";
import { claimsByOwner, podsByResourceClaim } from "./claim-indexes.ts";
import {
  claimFrom,
  claimNamed,
  findMade,
  isDone,
  isMadeFor,
  isToBeReserved,
  needsWork,
  ownerPod,
  reservedFor,
} from "./plan.ts";

const FIELD_MANAGER = "ResourceClaimController";

/** The half that looks at pods: makes their claims, tells them the names, and notes those that others placed as users. */
export function createPodClaimController(deps: ControllerDeps, workers: number, monitor: StorageMonitor): Controller {
  const { client, informers, recorder } = deps;
  const pods = informers.informer(Pod, { indexes: podsByResourceClaim }).lister;
  const claims = informers.informer(ResourceClaim, { indexes: claimsByOwner }).lister;
  monitor.watchResourceClaims(claims);
  const templates = informers.informer(ResourceClaimTemplate).lister;
  /** By key of the pod, what was made for it and may not be in the cache yet. */
  const made = new Map<string, ResourceClaim[]>();

  /** What is, or was, in the cache need not be remembered. */
  function seen(claim: ResourceClaim): void {
    const key = `${claim.metadata.namespace}/${ownerPod(claim)?.name}`;
    const left = made.get(key)?.filter(({ metadata }) => metadata.uid !== claim.metadata.uid);
    if (left !== undefined && left.length > 0) made.set(key, left);
    else made.delete(key);
  }

  const isToBeDone = (pod: Pod): boolean =>
    pod.spec.resourceClaims !== undefined && needsWork(pod, (name) => claims.get(pod.metadata.namespace, name));

  async function make(pod: Pod, each: PodResourceClaim, templateName: string, signal: AbortSignal): Promise<string> {
    const key = cacheKeyOf(pod);
    const known = [...claims.byIndex("ownerPod", pod.metadata.uid ?? ""), ...(made.get(key) ?? [])];
    const found = findMade(pod, each.name, known);
    if (found !== undefined) return found.metadata.name ?? "";
    const template = templates.get(pod.metadata.namespace, templateName);
    if (template === undefined)
      throw new Error(
        `resource claim template "${templateName}": resourceclaimtemplate.resource.k8s.io "${templateName}" not found`,
      );
    try {
      const wanted = claimFrom(template, pod, each.name);
      const claim = await monitor.resourceClaimMade(wanted, client.create(ResourceClaim, wanted, { signal }));
      made.set(key, [...(made.get(key) ?? []), claim]);
      return claim.metadata.name ?? "";
    } catch (error) {
      if (isNamespaceTerminating(error)) throw error;
      throw new Error(`create ResourceClaim : ${(error as Error).message}`, { cause: error });
    }
  }

  /** The name of a claim that is missing, once it is made; undefined: none is. */
  async function settle(pod: Pod, each: PodResourceClaim, signal: AbortSignal): Promise<string | undefined> {
    const named = claimNamed(pod, each);
    if (named.state === "unneeded" || each.resourceClaimTemplateName === undefined) return undefined;
    if (named.state === "named") {
      const claim = claims.get(pod.metadata.namespace, named.name);
      if (claim !== undefined && isMadeFor(pod, claim)) return undefined;
    }
    return await make(pod, each, each.resourceClaimTemplateName, signal);
  }

  async function tellNames(pod: Pod, names: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    const { namespace, name = "" } = pod.metadata;
    const before = (pod.status?.resourceClaimStatuses ?? []).filter((status) => !names.has(status.name));
    const now = [...names].map(([podClaim, resourceClaimName]) => ({ name: podClaim, resourceClaimName }));
    const body = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace, name },
      status: { resourceClaimStatuses: [...before, ...now] },
    };
    const options = { subresource: "status", fieldManager: FIELD_MANAGER, force: true, signal };
    await client.patch(Pod, { namespace, name }, "apply", body, options);
  }

  return defineController<Pod>(deps, {
    name: "resource-claim-pods",
    for: Pod,
    changed: isToBeDone,
    watches: [
      mapped(ResourceClaimTemplate, (template) => {
        const using = pods.byIndex("resourceClaimTemplate", cacheKeyOf(template)).filter(isToBeDone);
        return using.map(cacheKeyOf);
      }),
      mapped(ResourceClaim, (claim) => {
        seen(claim);
        const using = pods.byIndex("resourceClaim", cacheKeyOf(claim)).filter(isToBeDone);
        return using.map(cacheKeyOf);
      }),
    ],
    workers,
    async reconcile(key, { signal }) {
      const pod = pods.byKey(key);
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined || isDone(pod)) {
        made.delete(key);
        return done;
      }
      const names = new Map<string, string>();
      for (const each of pod.spec.resourceClaims ?? []) {
        try {
          const name = await settle(pod, each, signal);
          if (name !== undefined) names.set(each.name, name);
        } catch (error) {
          if (isNamespaceTerminating(error)) throw error;
          const message = `PodResourceClaim ${each.name}: ${(error as Error).message}`;
          recorder.event(referenceTo(Pod, pod), "Warning", "FailedResourceClaimCreation", message);
          throw error;
        }
      }
      if (names.size > 0) await tellNames(pod, names, signal);
      if ((pod.spec.nodeName ?? "") === "") return done; // the scheduler does that
      for (const each of pod.spec.resourceClaims ?? []) {
        const named = claimNamed(pod, each);
        if (named.state !== "named") continue;
        const claim = claims.get(pod.metadata.namespace, named.name);
        if (claim === undefined || (named.own && !isMadeFor(pod, claim))) continue;
        if (isToBeReserved(pod, claim))
          await client.update(ResourceClaim, reservedFor(pod, claim), { subresource: "status", signal });
      }
      return done;
    },
  });
}
