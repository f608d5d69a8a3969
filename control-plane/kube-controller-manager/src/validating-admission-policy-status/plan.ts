/** A resource in one version. */
export interface GroupVersionResource {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

interface Rule {
  readonly apiGroups?: readonly string[] | undefined;
  readonly apiVersions?: readonly string[] | undefined;
  readonly resources?: readonly string[] | undefined;
}

/** As many resources of one rule are looked at, and no more. */
const MAX_RESOURCES = 10;

/** The resources that rules name one by one: wildcards and subresources are not checked. */
export function resourcesToCheck(rules: readonly Rule[]): readonly GroupVersionResource[] {
  const found: GroupVersionResource[] = [];
  for (const { apiGroups = [], apiVersions = [], resources = [] } of rules) {
    if ([...apiGroups, ...apiVersions].some((name) => name.includes("*"))) continue;
    const plain = resources.filter((name) => !name.includes("*") && !name.includes("/"));
    let count = 0;
    for (const group of apiGroups.toSorted()) {
      for (const version of apiVersions.toSorted()) {
        for (const resource of plain.toSorted()) if (count++ < MAX_RESOURCES) found.push({ group, version, resource });
      }
    }
  }
  return found;
}
