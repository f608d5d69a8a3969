import { equalJson, type Json } from "@coracle/apimachinery";
import type { OwnerReference } from "@coracle/api/meta/v1";
import type { AuthorizationAttributes, Authorizer } from "../authorization/authorizer.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import { mappingsOf } from "./owner-kinds.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { refusalOf } from "./refusal.ts";

const ownersOf = (object: unknown): readonly OwnerReference[] =>
  (object as { readonly metadata?: { readonly ownerReferences?: readonly OwnerReference[] } } | undefined)?.metadata
    ?.ownerReferences ?? [];

/** Owners whose deletion the object newly holds up. */
function newlyBlocking({ object, oldObject }: AdmissionAttributes): readonly OwnerReference[] {
  const before = new Map(ownersOf(oldObject).map((owner) => [owner.uid, owner]));
  return ownersOf(object).filter(
    ({ uid, blockOwnerDeletion }) => blockOwnerDeletion === true && before.get(uid)?.blockOwnerDeletion !== true,
  );
}

/**
 * Who gives an object another owner must be allowed to delete it (its owner's end will), and who lets it hold up its owner's
 * deletion must be allowed to set that owner's finalizers.
 */
export function ownerReferencesPermissionEnforcement(objects: RegistryReader, authorizer: Authorizer): AdmissionPlugin {
  const ask = async (
    { context }: AdmissionAttributes,
    what: Omit<AuthorizationAttributes, "user" | "isResource" | "path">,
  ): Promise<string | undefined> => {
    const decision = await authorizer.authorize({ ...what, user: context.user, isResource: true, path: "" });
    return decision.verdict === "allow" ? undefined : `${decision.reason ?? ""}, ${decision.error ?? "<nil>"}`;
  };

  async function checkBlocking(attributes: AdmissionAttributes, owner: OwnerReference): Promise<void> {
    const { apiVersion, kind } = owner;
    const [version = "", group = ""] = apiVersion.split("/").toReversed();
    const mappings = await mappingsOf(objects, group, version, kind);
    if (mappings.length === 0) {
      throw refusalOf(
        attributes,
        `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${apiVersion} Kind ${kind}: no matches for kind "${kind}" in version "${apiVersion}"`,
      );
    }
    for (const { plural, namespaced } of mappings) {
      const why = await ask(attributes, {
        verb: "update",
        group,
        version,
        resource: plural,
        subresource: "finalizers",
        namespace: namespaced ? attributes.namespace : "",
        name: owner.name,
      });
      if (why === undefined) continue;
      throw refusalOf(
        attributes,
        `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: ${why}`,
      );
    }
  }

  return {
    name: "OwnerReferencesPermissionEnforcement",
    scope: { operations: ["CREATE", "UPDATE"] },
    async validate(attributes) {
      const { group, version, resource, subresource, namespace, name, operation, object, oldObject } = attributes;
      if (group === "" && resource === "pods" && subresource === "status") return;
      const owners = ownersOf(object);
      if (equalJson(owners as unknown as Json, ownersOf(oldObject) as unknown as Json)) return;
      if (operation !== "CREATE") {
        const why = await ask(attributes, { verb: "delete", group, version, resource, subresource, namespace, name });
        if (why !== undefined) {
          throw refusalOf(attributes, `cannot set an ownerRef on a resource you can't delete: ${why}`);
        }
      }
      const blocking = newlyBlocking(attributes);
      if (blocking.length === 0) return;
      const anything = { verb: "update", group: "*", version: "*", resource: "*", namespace: "", name: "*" };
      if ((await ask(attributes, { ...anything, subresource: "finalizers" })) === undefined) return;
      for (const owner of blocking) await checkBlocking(attributes, owner);
    },
  };
}
