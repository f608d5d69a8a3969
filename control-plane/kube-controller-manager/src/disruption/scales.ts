import { resourcePath } from "@coracle/api";
import { Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { ReplicationController } from "@coracle/api/core/v1";
import type { OwnerReference } from "@coracle/api/meta/v1";
import { isNotFound } from "@coracle/apimachinery";
import { controllerOf, type ControllerDeps } from "@coracle/controller-kit";
import { discoverResources, type DiscoveredResource } from "../discovery/resources.ts";

/** A controller that pods count for, and how many it wants. */
export interface ControllerScale {
  readonly uid: string;
  readonly replicas: number;
}

/** Answers what is behind a pod's controller; undefined: it does not exist. Rejects for what cannot be scaled. */
export type FindScale = (
  reference: OwnerReference,
  namespace: string | undefined,
  signal: AbortSignal,
) => Promise<ControllerScale | undefined>;

interface Scaled {
  readonly metadata: { readonly uid?: string | undefined };
  readonly spec: { readonly replicas?: number | undefined };
}

const scaleOf = (object: Scaled | undefined, uid: string): ControllerScale | undefined =>
  object?.metadata.uid === uid ? { uid, replicas: object.spec.replicas ?? 1 } : undefined;

/** Finds sizes: of built-in kinds in the caches, of all others by their scale subresource. */
export function createScaleFinder({ client, informers }: Pick<ControllerDeps, "client" | "informers">): FindScale {
  const replicaSets = informers.informer(ReplicaSet).lister;
  const deployments = informers.informer(Deployment).lister;
  const statefulSets = informers.informer(StatefulSet).lister;
  const replicationControllers = informers.informer(ReplicationController).lister;
  let discovered: Promise<readonly DiscoveredResource[]> | undefined;

  async function typeOf(group: string, kind: string, signal: AbortSignal): Promise<DiscoveredResource> {
    const find = async (): Promise<DiscoveredResource | undefined> => {
      discovered ??= discoverResources(client, signal).then((found) => found.resources);
      try {
        return (await discovered).find((type) => type.group === group && type.kind === kind);
      } catch (error) {
        discovered = undefined;
        throw error;
      }
    };
    let type = await find();
    if (type === undefined) {
      discovered = undefined; // its definition may be new
      type = await find();
    }
    if (type === undefined) throw new Error(`no matches for kind "${kind}" in group "${group}"`);
    return type;
  }

  async function bySubresource(
    { apiVersion, kind, name, uid }: OwnerReference,
    namespace: string | undefined,
    signal: AbortSignal,
  ): Promise<ControllerScale | undefined> {
    const [version = "", group = ""] = apiVersion.split("/").toReversed();
    const type = await typeOf(group, kind, signal);
    const path = resourcePath({ ...type, version }, { namespace, name, subresource: "scale" });
    try {
      return scaleOf((await client.raw("GET", path, undefined, { signal })) as Scaled, uid);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      if (type.hasScale) return undefined;
      throw new Error(`${type.plural}${group === "" ? "" : `.${group}`} does not implement the scale subresource`, {
        cause: error,
      });
    }
  }

  return async (reference, namespace, signal) => {
    const { kind, name, uid } = reference;
    const [, group = ""] = reference.apiVersion.split("/").toReversed();
    const isApps = group === "apps" || group === "extensions";
    if (kind === "ReplicaSet" && isApps) {
      const set = replicaSets.get(namespace, name);
      const above = set?.metadata.uid === uid ? controllerOf(set) : undefined;
      if (above?.kind !== "Deployment") return scaleOf(set, uid);
      return scaleOf(deployments.get(namespace, above.name), above.uid);
    }
    if (kind === "StatefulSet" && group === "apps") return scaleOf(statefulSets.get(namespace, name), uid);
    if (kind === "ReplicationController" && group === "")
      return scaleOf(replicationControllers.get(namespace, name), uid);
    return await bySubresource(reference, namespace, signal);
  };
}
