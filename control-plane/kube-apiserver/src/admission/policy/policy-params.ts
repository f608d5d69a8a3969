import type { ParamKind, ParamRef } from "@coracle/api/admissionregistration/v1";
import { compileLabelSelector, type Labels } from "@coracle/apimachinery";
import { readResourceCatalog } from "../../registry/resource-catalog.ts";
import type { RegistryReader, ResourceRef } from "../../registry/registry-reader.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";

const DEFINITIONS = { group: "apiextensions.k8s.io", version: "v1", plural: "customresourcedefinitions" };

interface ParamResource extends ResourceRef {
  readonly isNamespaced: boolean;
}

interface DefinitionSpec {
  readonly group: string;
  readonly scope: string;
  readonly names: { readonly kind: string; readonly plural: string };
  readonly versions: ReadonlyArray<{ readonly name: string; readonly served: boolean }>;
}

async function resourceOfKind(kind: ParamKind, objects: RegistryReader): Promise<ParamResource | undefined> {
  const [group, version] = kind.apiVersion!.includes("/")
    ? (kind.apiVersion!.split("/") as [string, string])
    : ["", kind.apiVersion!];
  const builtIn = readResourceCatalog().find(
    (entry) => entry.group === group && entry.version === version && entry.kind === kind.kind,
  );
  if (builtIn !== undefined) return { group, version, plural: builtIn.plural, isNamespaced: builtIn.namespaced };
  for (const definition of await objects.list(DEFINITIONS)) {
    const spec = definition["spec"] as unknown as DefinitionSpec;
    if (spec.group !== group || spec.names.kind !== kind.kind) continue;
    if (!spec.versions.some(({ name, served }) => name === version && served)) continue;
    return { group, version, plural: spec.names.plural, isNamespaced: spec.scope === "Namespaced" };
  }
  return undefined;
}

/**
 * The parameters a binding gives to its policy for a request in a namespace. `null` stands for none wanted; an empty
 * list for none found. Throws an Error that says what is wrong with the binding.
 */
export async function collectParams(
  kind: ParamKind | undefined,
  ref: ParamRef | undefined,
  namespace: string,
  objects: RegistryReader,
): Promise<readonly (ApiObject | null)[]> {
  if (kind === undefined || ref === undefined) return [null];
  const resource = await resourceOfKind(kind, objects);
  if (resource === undefined) {
    throw new Error(`paramKind kind \`&ParamKind{APIVersion:${kind.apiVersion},Kind:${kind.kind},}\` not known`);
  }
  const given = ref.namespace ?? "";
  if (!resource.isNamespaced && given !== "") {
    throw new Error("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
  }
  const from = resource.isNamespaced ? (given === "" ? namespace : given) : "";
  if (resource.isNamespaced && from === "") {
    throw new Error("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources");
  }
  const found = await findParams(resource, from, ref, objects);
  if (found.length === 0 && ref.parameterNotFoundAction === "Deny") {
    throw new Error("no params found for policy binding with `Deny` parameterNotFoundAction");
  }
  return found.map((object) => ({ apiVersion: kind.apiVersion!, kind: kind.kind!, ...object }) as ApiObject);
}

async function findParams(
  resource: ParamResource,
  namespace: string,
  ref: ParamRef,
  objects: RegistryReader,
): Promise<readonly ApiObject[]> {
  if (ref.name !== undefined && ref.name !== "") {
    const object = await objects.get(resource, namespace, ref.name);
    return object === undefined ? [] : [object];
  }
  const selector = compileLabelSelector(ref.selector ?? {});
  const all = await objects.list(resource, resource.isNamespaced ? namespace : undefined);
  return all.filter((object) => selector.matches(object.metadata["labels"] as Labels | undefined));
}
