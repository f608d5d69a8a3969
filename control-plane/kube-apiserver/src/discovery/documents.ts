import type { JsonObject } from "@coracle/apimachinery";
import type { Catalog, CatalogResource, CatalogSubresource } from "./catalog.ts";

const groupVersionOf = (group: string, version: string): string => (group === "" ? version : `${group}/${version}`);

/** `/api`. */
export function apiVersions(serverAddress: string): JsonObject {
  return {
    kind: "APIVersions",
    versions: ["v1"],
    serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress }],
  };
}

function groupOf(name: string, versions: readonly string[]): JsonObject {
  const list = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: list, preferredVersion: list[0]! };
}

/** `/apis`. */
export function apiGroupList(catalog: Catalog): JsonObject {
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: catalog.groups.filter((group) => group.name !== "").map((group) => groupOf(group.name, group.versions)),
  };
}

/** `/apis/GROUP`; undefined when there is none. */
export function apiGroup(catalog: Catalog, name: string): JsonObject | undefined {
  const group = catalog.groups.find((one) => one.name === name && name !== "");
  return group === undefined ? undefined : { kind: "APIGroup", apiVersion: "v1", ...groupOf(name, group.versions) };
}

function ownTypeIfForeign(
  resource: { readonly group: string; readonly version: string },
  type: { readonly group: string; readonly version: string },
): JsonObject {
  return type.group === resource.group && type.version === resource.version
    ? {}
    : { group: type.group, version: type.version };
}

function subresourceEntry(resource: CatalogResource, sub: CatalogSubresource): JsonObject {
  return {
    name: `${resource.plural}/${sub.name}`,
    singularName: "",
    namespaced: resource.namespaced,
    ...ownTypeIfForeign(resource, sub),
    kind: sub.kind,
    verbs: sub.verbs,
  };
}

/** `/api/v1`, `/apis/GROUP/VERSION`; undefined when there is none. */
export function apiResourceList(catalog: Catalog, group: string, version: string): JsonObject | undefined {
  if (!catalog.hasGroupVersion(group, version)) return undefined;
  const resources: JsonObject[] = [];
  for (const resource of catalog.resources(group, version)) {
    resources.push({
      name: resource.plural,
      singularName: resource.singular,
      namespaced: resource.namespaced,
      kind: resource.kind,
      verbs: resource.verbs,
      ...(resource.shortNames.length === 0 ? {} : { shortNames: resource.shortNames }),
      ...(resource.categories.length === 0 ? {} : { categories: resource.categories }),
      ...(resource.storageVersionHash === undefined ? {} : { storageVersionHash: resource.storageVersionHash }),
    });
    for (const sub of resource.subresources.values()) resources.push(subresourceEntry(resource, sub));
  }
  return {
    kind: "APIResourceList",
    ...(group === "" ? {} : { apiVersion: "v1" }),
    groupVersion: groupVersionOf(group, version),
    resources,
  };
}

function aggregatedResource(resource: CatalogResource): JsonObject {
  // A type of the resource's own group and version is named by its kind alone.
  const kindOf = (type: { group: string; version: string; kind: string }): JsonObject => ({
    group: "",
    version: "",
    ...ownTypeIfForeign(resource, type),
    kind: type.kind,
  });
  return {
    resource: resource.plural,
    responseKind: kindOf(resource),
    scope: resource.namespaced ? "Namespaced" : "Cluster",
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames.length === 0 ? {} : { shortNames: resource.shortNames }),
    ...(resource.categories.length === 0 ? {} : { categories: resource.categories }),
    ...(resource.subresources.size === 0
      ? {}
      : {
          subresources: [...resource.subresources.values()].map((sub) => ({
            subresource: sub.name,
            responseKind: kindOf(sub),
            verbs: sub.verbs,
          })),
        }),
  };
}

/** `/api` or `/apis` as one document with all resources. */
export function aggregatedDiscovery(catalog: Catalog, isCore: boolean, version: string): JsonObject {
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: catalog.groups
      .filter((group) => (group.name === "") === isCore)
      .map((group) => ({
        metadata: isCore ? {} : { name: group.name },
        versions: group.versions.map(
          (groupVersion) =>
            catalog.remoteVersion?.(group.name, groupVersion) ?? {
              version: groupVersion,
              resources: catalog.resources(group.name, groupVersion).map(aggregatedResource),
              freshness: "Current",
            },
        ),
      })),
  };
}
