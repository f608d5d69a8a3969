import { Lease } from "@coracle/api/coordination/v1";
import { StorageVersion } from "@coracle/api/apiserverinternal/v1alpha1";
import { isNotFound } from "@coracle/apimachinery";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { isServerLease, planStorageVersion } from "./plan.ts";

const NAMESPACE = "kube-system";
const LEASES = { namespace: NAMESPACE, labelSelector: "apiserver.kubernetes.io/identity=kube-apiserver" };

/** Forgets what API servers that are gone said of the versions that they store. */
export function createStorageVersionGarbageCollector(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const versions = informers.informer(StorageVersion).lister;
  const leases = informers.informer(Lease, LEASES).lister;

  /** The cache may be late: a server that is not in it is asked for. */
  async function isThere(name: string, signal: AbortSignal): Promise<boolean> {
    if (isServerLease(leases.get(NAMESPACE, name))) return true;
    try {
      return isServerLease(await client.get(Lease, { namespace: NAMESPACE, name }, { signal }));
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  return defineController<StorageVersion>(deps, {
    name: "storageversion-garbage-collector",
    for: StorageVersion,
    watches: [
      mapped(
        Lease,
        (lease) => {
          const { name = "" } = lease.metadata;
          if (leases.get(NAMESPACE, name) !== undefined) return []; // it was renewed
          const isSaid = ({ status }: StorageVersion): boolean =>
            (status.storageVersions ?? []).some(({ apiServerID }) => apiServerID === name);
          return versions.list().flatMap((version) => (isSaid(version) ? [version.metadata.name ?? ""] : []));
        },
        LEASES,
      ),
    ],
    workers: 1,
    async reconcile(key, { signal }) {
      const version = versions.byKey(key);
      if (version === undefined) return done;
      const alive = new Set<string>();
      for (const { apiServerID = "" } of version.status.storageVersions ?? [])
        if (await isThere(apiServerID, signal)) alive.add(apiServerID);
      const plan = planStorageVersion(version, (server) => alive.has(server), clock.now());
      try {
        if (plan.action === "delete") await client.delete(StorageVersion, { name: key }, { signal });
        else if (plan.action === "update")
          await client.update(StorageVersion, { ...version, status: plan.status }, { subresource: "status", signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      return done;
    },
  });
}
