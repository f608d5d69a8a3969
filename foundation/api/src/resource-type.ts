import type { ObjectMeta } from "./types/meta/v1.ts";

/**
 * What every stored API object has. `apiVersion` and `kind` are optional because items of a list omit them;
 * objects that the API server returns on their own always carry both.
 */
export interface KubeObject {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata: ObjectMeta;
}

/** The names of one served resource: enough to build its paths and to recognise its objects. */
export interface ResourceType<T = KubeObject> {
  /** API group, `""` for core. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Absent for kinds that are created only (reviews, Binding). */
  readonly listKind: string | undefined;
  /** Lower-case plural, as in the URL. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never set: carries the object's TypeScript type. */
  readonly object?: T;
}

/** `v1`, `apps/v1`: the `apiVersion` of the resource's objects. */
export function apiVersionOf(type: { readonly group: string; readonly version: string }): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}

/** URL prefix of the group and version: `/api/v1` or `/apis/GROUP/VERSION`. */
export function groupVersionPath(type: { readonly group: string; readonly version: string }): string {
  return type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
}

/** URL path of a collection or, with `name`, of one object; each part is percent-encoded. */
export function resourcePath(
  type: ResourceType<unknown>,
  where: {
    readonly namespace?: string | undefined;
    readonly name?: string | undefined;
    readonly subresource?: string | undefined;
  } = {},
): string {
  let path = groupVersionPath(type);
  if (type.namespaced && where.namespace !== undefined && where.namespace !== "") {
    path += `/namespaces/${encodeURIComponent(where.namespace)}`;
  }
  path += `/${type.plural}`;
  if (where.name !== undefined) path += `/${encodeURIComponent(where.name)}`;
  if (where.subresource !== undefined) path += `/${where.subresource}`;
  return path;
}
