import { isObject, type Draft } from "@coracle/apimachinery";

/** Lists of which an empty one is stored as none, and shows as null. */
const LISTS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "/limitranges": [["spec", "limits"]],
  "rbac.authorization.k8s.io/roles": [["rules"]],
  "rbac.authorization.k8s.io/clusterroles": [["rules"]],
  "discovery.k8s.io/endpointslices": [["endpoints"], ["ports"]],
  "storage.k8s.io/csinodes": [["spec", "drivers"]],
  "resource.k8s.io/resourceclaims": [["spec", "devices", "requests"]],
  "resource.k8s.io/resourceclaimtemplates": [["spec", "spec", "devices", "requests"]],
};

/** Makes empty lists none where they are stored so. Whoever sent an empty one owns it: this comes after that is recorded. */
export function settleEmptyLists(type: { readonly group: string; readonly plural: string }, draft: Draft): void {
  for (const path of LISTS[`${type.group}/${type.plural}`] ?? []) {
    let at: unknown = draft;
    for (const member of path.slice(0, -1)) at = isObject(at) ? at[member] : undefined;
    const last = path.at(-1) ?? "";
    if (!isObject(at)) continue;
    const list = at[last];
    if (Array.isArray(list) && list.length === 0) at[last] = null;
  }
}
