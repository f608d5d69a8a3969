import type { Draft } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import { localServiceStatus } from "../bootstrap/api-services.ts";
import { systemContext, type RegistryReader } from "../registry/registry-reader.ts";
import type { Registry } from "../registry/registry.ts";

const API_SERVICES = { group: "apiregistration.k8s.io", version: "v1", plural: "apiservices" } as const;
const MANAGED = "kube-aggregator.kubernetes.io/automanaged";
/** Custom resources yield to built-in ones; their versions are told apart by their names. */
const PRIORITIES = { groupPriorityMinimum: 1000, versionPriority: 100 };

/** Makes one APIService for each version that is served, and takes away those of versions that no longer are. */
export async function registerVersions(
  deps: { readonly registry: Registry; readonly objects: RegistryReader; readonly clock: Clock },
  group: string,
  versions: readonly string[],
  isServed: (version: string) => boolean,
): Promise<void> {
  const { registry, objects, clock } = deps;
  for (const version of versions) {
    const name = `${version}.${group}`;
    const found = await objects.get(API_SERVICES, "", name);
    const labels = found?.metadata["labels"] as Readonly<Record<string, string>> | undefined;
    if (isServed(version)) {
      if (found !== undefined) continue;
      const made = await objects.create(API_SERVICES, "", {
        kind: "APIService",
        apiVersion: "apiregistration.k8s.io/v1",
        metadata: { name, labels: { [MANAGED]: "true" } },
        spec: { group, version, ...PRIORITIES },
      });
      const draft: Draft = { ...structuredClone(made), status: localServiceStatus(clock.now()) };
      await objects.updateStatus(API_SERVICES, "", name, draft);
    } else if (labels?.[MANAGED] === "true") {
      const handler = registry.resource(API_SERVICES.group, API_SERVICES.version, API_SERVICES.plural);
      await handler?.delete(systemContext(), "", name, { options: {} });
    }
  }
}
