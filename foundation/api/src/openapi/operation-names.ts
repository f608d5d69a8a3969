/** `rbac.authorization.k8s.io` → `rbac authorization`; the core group is `core`. */
function wordsOf(group: string): readonly string[] {
  if (group === "") return ["core"];
  return group
    .replace(/\.k8s\.io$/, "")
    .split(/[.-]/)
    .filter((word) => word !== "");
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** `rbacAuthorization`: how tags begin. */
export function groupTag(group: string): string {
  const [first = "", ...rest] = wordsOf(group);
  return first + rest.map(capital).join("");
}

/** `RbacAuthorization`: how operation ids name the group. */
export const groupId = (group: string): string => wordsOf(group).map(capital).join("");

/** `rbacAuthorization_v1`. */
export const versionTag = (group: string, version: string): string => `${groupTag(group)}_${version}`;

/** `readCoreV1NamespacedPodStatus`, from its parts; `-` and the like are no part of identifiers. */
export const operationId = (verb: string, group: string, version: string, rest: string): string =>
  `${verb}${groupId(group)}${capital(version)}${rest}`;

/** `exec` → `Exec`; `ephemeralcontainers` → `Ephemeralcontainers`. */
export const subresourceId = (name: string): string => name.split("/").map(capital).join("");
