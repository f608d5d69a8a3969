import { isAlreadyExists, isConflict, isNotFound, type Draft, type JsonObject } from "@coracle/apimachinery";
import type { Logger } from "@coracle/base";
import type { Catalog } from "../discovery/catalog.ts";
import type { Registry } from "../registry/registry.ts";
import { systemContext, type RegistryReader } from "../registry/registry-reader.ts";
import { API_SERVICES, type RegisteredService } from "./api-service.ts";
import type { ApiServiceIndex } from "./api-service-index.ts";

const MANAGED_LABEL = "kube-aggregator.kubernetes.io/automanaged";
/** Custom resources rank low, and among themselves by the kind of their versions. */
const CUSTOM_GROUP_PRIORITY = 1000;
const CUSTOM_VERSION_PRIORITY = 100;

/** What has to be done about one APIService. */
export type Registration =
  | { readonly action: "create" | "update"; readonly spec: JsonObject }
  | { readonly action: "delete"; readonly uid: string }
  | { readonly action: "none" };

/** The spec of a group version of custom resources. */
export const customServiceSpec = (group: string, version: string): JsonObject => ({
  group,
  version,
  groupPriorityMinimum: CUSTOM_GROUP_PRIORITY,
  versionPriority: CUSTOM_VERSION_PRIORITY,
});

const managedBy = (service: RegisteredService): unknown =>
  (service.object.metadata["labels"] as JsonObject | undefined)?.[MANAGED_LABEL];

/** Custom resources' group versions come and go with them; what somebody else made under the name stays theirs. */
export function planRegistration(wanted: JsonObject | undefined, current: RegisteredService | undefined): Registration {
  if (current === undefined) return wanted === undefined ? { action: "none" } : { action: "create", spec: wanted };
  if (managedBy(current) !== "true") return { action: "none" };
  if (wanted === undefined) return { action: "delete", uid: current.object.metadata["uid"] as string };
  const spec = current.object["spec"] as JsonObject;
  const isSame =
    Object.keys(spec).length === Object.keys(wanted).length &&
    Object.entries(wanted).every(([name, value]) => spec[name] === value);
  return isSame ? { action: "none" } : { action: "update", spec: wanted };
}

/** Group versions that the server serves for custom resources, by the names of their APIServices. */
export function customGroupVersions(catalog: Catalog): Map<string, JsonObject> {
  const found = new Map<string, JsonObject>();
  for (const { name, versions } of catalog.groups) {
    for (const version of versions) {
      if (catalog.resources(name, version)[0]?.isCustom === true)
        found.set(`${version}.${name}`, customServiceSpec(name, version));
    }
  }
  return found;
}

export interface AutoRegistrationOptions {
  readonly catalog: Catalog;
  readonly index: ApiServiceIndex;
  readonly registry: Registry;
  readonly objects: RegistryReader;
  readonly logger: Logger;
}

/** Keeps one APIService for each group version of custom resources. */
export interface AutoRegistration {
  /** Compares what is served with what is registered, and writes the difference. */
  sync(): Promise<void>;
}

export function createAutoRegistration(options: AutoRegistrationOptions): AutoRegistration {
  const { catalog, index, registry, objects, logger } = options;
  /** Names this server ever wanted: a spurious one is found by its label, a vanished one here. */
  const known = new Set<string>();

  async function carryOut(name: string, plan: Registration, current: RegisteredService | undefined): Promise<void> {
    switch (plan.action) {
      case "none":
        return;
      case "create": {
        const metadata = { name, labels: { [MANAGED_LABEL]: "true" } };
        const object = { kind: "APIService", apiVersion: "apiregistration.k8s.io/v1", metadata, spec: plan.spec };
        await objects.create(API_SERVICES, "", structuredClone(object) as unknown as Draft);
        return;
      }
      case "update": {
        const object = structuredClone(current!.object) as unknown as Draft;
        await objects.update(API_SERVICES, "", name, { ...object, spec: structuredClone(plan.spec) as Draft });
        return;
      }
      case "delete": {
        const handler = registry.resource(API_SERVICES.group, API_SERVICES.version, API_SERVICES.plural)!;
        await handler.delete(systemContext(), "", name, { options: { preconditions: { uid: plan.uid } } });
        return;
      }
    }
  }

  return {
    async sync() {
      const wanted = customGroupVersions(catalog);
      for (const name of wanted.keys()) known.add(name);
      for (const service of index.all()) if (managedBy(service) === "true") known.add(service.name);
      for (const name of known) {
        const current = index.get(name);
        if (!wanted.has(name)) known.delete(name);
        try {
          await carryOut(name, planRegistration(wanted.get(name), current), current);
        } catch (error) {
          // Changed meanwhile: the change itself brings us back here.
          if (isAlreadyExists(error) || isConflict(error) || isNotFound(error)) continue;
          logger.error("an APIService could not be written", { name, error });
        }
      }
    },
  };
}
