import type { KubeObject, ResourceType } from "@coracle/api";
import type { ApiClient } from "@coracle/client";

/** One served resource, in the version its group prefers, and what can be done with it. */
export interface DiscoveredResource extends ResourceType<KubeObject> {
  readonly verbs: ReadonlySet<string>;
  /** All versions in which it is served. */
  readonly versions: ReadonlySet<string>;
  /** Its size can be read and written without knowing its kind. */
  readonly hasScale: boolean;
}

/** What is served, and the groups that could not be asked. */
export interface Discovery {
  readonly resources: readonly DiscoveredResource[];
  readonly failures: readonly string[];
}

const AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

interface AggregatedList {
  readonly kind?: string;
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly {
      readonly version: string;
      readonly freshness?: string;
      readonly resources?: readonly {
        readonly resource: string;
        readonly responseKind?: { readonly kind?: string };
        readonly scope?: string;
        readonly verbs?: readonly string[];
        readonly subresources?: readonly { readonly subresource: string }[];
      }[];
    }[];
  }[];
}

/** Asks the server which resources it serves; each once, in the first version its group names. */
export async function discoverResources(client: ApiClient, signal: AbortSignal): Promise<Discovery> {
  const resources = new Map<string, DiscoveredResource & { readonly versions: Set<string> }>();
  const failures: string[] = [];
  for (const path of ["/api", "/apis"]) {
    const list = (await client.raw("GET", path, undefined, { signal, accept: AGGREGATED })) as AggregatedList;
    if (list.kind !== "APIGroupDiscoveryList") throw new Error(`${path}: the server has no aggregated discovery`);
    for (const group of list.items ?? []) {
      const groupName = group.metadata?.name ?? "";
      for (const version of group.versions ?? []) {
        if (version.freshness === "Stale") failures.push(`${groupName}/${version.version}`);
        for (const { resource, responseKind, scope, verbs, subresources = [] } of version.resources ?? []) {
          const id = `${groupName}/${resource}`;
          const known = resources.get(id);
          known?.versions.add(version.version);
          if (known !== undefined) continue;
          resources.set(id, {
            group: groupName,
            version: version.version,
            kind: responseKind?.kind ?? "",
            listKind: `${responseKind?.kind}List`,
            plural: resource,
            namespaced: scope === "Namespaced",
            verbs: new Set(verbs),
            versions: new Set([version.version]),
            hasScale: subresources.some(({ subresource }) => subresource === "scale"),
          });
        }
      }
    }
  }
  return { resources: [...resources.values()], failures };
}
