import { groupId, groupTag, versionTag } from "./operation-names.ts";
import type { Operation } from "./operation.ts";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1";
const ALL = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

const read = (id: string, tag: string, answer: string | undefined, produces: readonly string[] = ALL): Operation => ({
  method: "get",
  id,
  tag,
  ...(answer === undefined ? {} : { consumes: produces }),
  produces,
  codes: ["200"],
  answer,
  parameters: [],
});

const JSON_ONLY = ["application/json"];

/** What a server tells of itself, by the name of the document that says so: `api`, `apis/apps`, `version` … */
export function serverOperations(
  groups: readonly string[],
): readonly (readonly [document: string, path: string, operation: Operation])[] {
  return [
    ["api", "/api/", read("getCoreAPIVersions", "core", `${META}.APIVersions`)],
    ["apis", "/apis/", read("getAPIVersions", "apis", `${META}.APIGroupList`)],
    ...groups
      .filter((group) => group !== "")
      .map((group): readonly [string, string, Operation] => [
        `apis/${group}`,
        `/apis/${group}/`,
        read(`get${groupId(group)}APIGroup`, groupTag(group), `${META}.APIGroup`),
      ]),
    ["version", "/version/", read("getCodeVersion", "version", "io.k8s.apimachinery.pkg.version.Info", JSON_ONLY)],
    [
      ".well-known/openid-configuration",
      "/.well-known/openid-configuration/",
      read("getServiceAccountIssuerOpenIDConfiguration", "WellKnown", undefined, JSON_ONLY),
    ],
    [
      "openid/v1/jwks",
      "/openid/v1/jwks/",
      read("getServiceAccountIssuerOpenIDKeyset", "openid", undefined, ["application/jwk-set+json"]),
    ],
  ];
}

/** The list of a version's resources. */
export function resourceListOperation(group: string, version: string): readonly [path: string, operation: Operation] {
  const root = group === "" ? `/api/${version}/` : `/apis/${group}/${version}/`;
  const id = `get${groupId(group)}${version.charAt(0).toUpperCase()}${version.slice(1)}APIResources`;
  return [root, read(id, versionTag(group, version), `${META}.APIResourceList`)];
}
