import type { CatalogResource } from "../discovery/catalog.ts";
import type { ApiRequest } from "./api-request.ts";

const DEPRECATED: Readonly<Record<string, string>> = {
  "/v1/endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
  "/v1/componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
};

/** Kinds that are on their way out say so to whoever reads or writes them; `asked`: labels of those that were. */
export function warnOfDeprecation(request: ApiRequest, resource: CatalogResource, asked: Set<string>): void {
  const text =
    resource.deprecation ?? (resource.group === "" ? DEPRECATED[`/${resource.version}/${resource.plural}`] : undefined);
  if (text === undefined) return;
  request.warnings.push(text);
  const removed = /unavailable in v([\d.]+)\+/.exec(text)?.[1] ?? "";
  asked.add(
    `group="${resource.group}",removed_release="${removed}",resource="${resource.plural}",subresource="${request.info.subresource}",version="${resource.version}"`,
  );
}
