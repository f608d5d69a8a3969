import type { KubeObject } from "@coracle/api";
import { StorageVersionMigration } from "@coracle/api/storagemigration/v1beta1";
import { isConflict, isNotFound, isStatusError } from "@coracle/apimachinery";
import { isAbort } from "@coracle/base";
import { defineController, done, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { discoverResources, type DiscoveredResource } from "../discovery/resources.ts";
import { findTarget, isOrdered, isOver, isWrittenAfter, migrationStatus, type MigrationState } from "./plan.ts";

const NAME = "storage-version-migrator-controller";
const PAGE = 500;

/** The server may do it another time. */
const isPassing = (error: unknown): boolean =>
  isStatusError(error, "ServerTimeout", "TooManyRequests", "ServiceUnavailable", "InternalError", "Timeout", "Expired");

/**
 * Has every object of a kind written anew, by patches that change nothing: the server stores it as it stores such
 * objects today. What was written since the migration began, or is gone, needs none.
 */
export function createStorageVersionMigrator(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const migrations = informers.informer(StorageVersionMigration).lister;

  async function writeStatus(
    migration: StorageVersionMigration,
    status: NonNullable<StorageVersionMigration["status"]>,
    signal: AbortSignal,
  ): Promise<StorageVersionMigration> {
    return client.update(StorageVersionMigration, { ...migration, status }, { subresource: "status", signal });
  }
  const tell = async (
    migration: StorageVersionMigration,
    state: MigrationState,
    message: string,
    signal: AbortSignal,
  ): Promise<StorageVersionMigration> =>
    writeStatus(migration, migrationStatus(migration, state, message, clock.now()), signal);

  /** The status of one that begins must say a moment; where there is none, its own will do. */
  async function fail(migration: StorageVersionMigration, why: string, signal: AbortSignal): Promise<void> {
    const { metadata, status } = migration;
    const resourceVersion = status?.resourceVersion ?? metadata.resourceVersion;
    await tell({ ...migration, status: { ...status, resourceVersion } }, "Failed", why, signal);
  }

  async function writeAnew(
    resource: DiscoveredResource,
    { namespace, name = "", uid, resourceVersion }: KubeObject["metadata"],
    signal: AbortSignal,
  ): Promise<void> {
    const { group, version, kind } = resource;
    const apiVersion = group === "" ? version : `${group}/${version}`;
    // With both uid and version, one that was changed or replaced meanwhile is a conflict, and never made anew.
    const body = { apiVersion, kind, metadata: { uid, resourceVersion } };
    try {
      await client.patch(resource, { namespace, name }, "apply", body, { fieldManager: NAME, signal });
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
  }

  async function migrate(resource: DiscoveredResource, moment: string, signal: AbortSignal): Promise<void> {
    let next: string | undefined;
    do {
      const page = await client.list(resource, { metadataOnly: true, limit: PAGE, continue: next, signal });
      for (const { metadata } of page.items)
        if (!isWrittenAfter(moment, metadata.resourceVersion)) await writeAnew(resource, metadata, signal);
      next = page.metadata.continue;
    } while (next !== undefined && next !== "");
  }

  async function latestVersion(resource: DiscoveredResource, signal: AbortSignal): Promise<string> {
    const { metadata } = await client.list(resource, { metadataOnly: true, limit: 1, signal });
    return metadata.resourceVersion ?? "";
  }

  return defineController<StorageVersionMigration>(deps, {
    name: "storage-version-migrator",
    for: StorageVersionMigration,
    async reconcile(key, { signal }) {
      const migration = migrations.byKey(key);
      if (migration === undefined || isOver(migration)) return done;
      const { resources } = await discoverResources(client, signal);
      const target = findTarget(migration, resources, clock.now());
      if (target.kind === "late") throw new Error("resource does not exist in discovery yet");
      if (target.kind === "never") {
        await fail(migration, target.why, signal);
        return done;
      }
      const { resource } = target;
      const moment = migration.status?.resourceVersion ?? "";
      if (moment === "") {
        const resourceVersion = await latestVersion(resource, signal);
        if (!isOrdered(resourceVersion))
          await fail(
            migration,
            `latest resourceVersion for ${resource.group}/${resource.version}, Resource=${resource.plural} is not valid: resource version is not well formed: ${resourceVersion}`,
            signal,
          );
        else await writeStatus(migration, { ...migration.status, resourceVersion }, signal); // brings us back
        return done;
      }
      const running = await tell(migration, "Running", "", signal);
      try {
        await migrate(resource, moment, signal);
      } catch (error) {
        if (isAbort(error, signal) || isPassing(error)) throw error;
        await fail(running, `migration encountered unhandled error: ${(error as Error).message}`, signal);
        return done;
      }
      await tell(running, "Succeeded", "", signal);
      return done;
    },
  });
}
