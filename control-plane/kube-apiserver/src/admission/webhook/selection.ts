import { forbidden, internalError, notFound, type Draft, type Labels } from "@coracle/apimachinery";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";
import { kindOf, namespaceOf } from "./admission-request.ts";
import type { CompiledWebhook } from "./compiled-webhook.ts";
import type { KindVersions } from "./kind-versions.ts";
import { matchRules } from "./matching.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };

/** Kinds whose objects decide about webhooks and policies: no webhook may stand in the way of repairing them. */
const EXEMPT: ReadonlySet<string> = new Set([
  "ValidatingWebhookConfiguration",
  "MutatingWebhookConfiguration",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
  "MutatingAdmissionPolicy",
  "MutatingAdmissionPolicyBinding",
]);

/** True for requests that no webhook is asked about. */
export const isExempt = ({ group, kind }: AdmissionAttributes): boolean =>
  group === "admissionregistration.k8s.io" && EXEMPT.has(kind);

/** Says whether the conditions of a webhook hold. `error`: one failed, and the webhook's policy is to fail. */
export type MatchConditions = (
  hook: CompiledWebhook,
  attributes: AdmissionAttributes,
  as: ServedVersion,
) => Promise<{ readonly holds: boolean; readonly error?: Error | undefined }>;

export interface SelectionDeps {
  readonly objects: RegistryReader;
  readonly versions: KindVersions;
  readonly conditions: MatchConditions;
}

const labelsOf = (object: unknown): Labels | undefined =>
  ((object as Draft | undefined)?.metadata as Draft | undefined)?.labels as Labels | undefined;

function matchesObject(hook: CompiledWebhook, { object, oldObject, operation }: AdmissionAttributes): boolean {
  const selector = hook.objectSelector;
  if (selector === undefined) return true;
  if (operation === "CONNECT") return false;
  // What a connect carries are options, not an object.
  const has = (one: Draft | undefined): boolean =>
    one !== undefined && one.metadata !== undefined && selector.matches(labelsOf(one));
  return has(object) || has(oldObject as Draft | undefined);
}

/** Labels of the namespace a request is about. Throws 404. */
async function namespaceLabels(objects: RegistryReader, attributes: AdmissionAttributes): Promise<Labels | undefined> {
  const { resource, subresource, operation, object } = attributes;
  // Its own labels, as they are about to be.
  const writes = operation === "CREATE" || operation === "UPDATE";
  if (resource === "namespaces" && subresource === "" && writes) return labelsOf(object);
  const name = namespaceOf(attributes);
  const found = await objects.get(NAMESPACES, "", name);
  if (found === undefined) throw notFound({ group: "", resource: "namespaces" }, name);
  return labelsOf(found);
}

/**
 * As what a webhook is asked about the request; undefined: it is not. Throws a StatusError when that cannot be known.
 */
export async function selectWebhook(
  hook: CompiledWebhook,
  attributes: AdmissionAttributes,
  deps: SelectionDeps,
): Promise<ServedVersion | undefined> {
  if (!matchesObject(hook, attributes)) return undefined;
  const { operation, group, version, resource, subresource, name } = attributes;
  const namespace = namespaceOf(attributes);
  const subject = { operation, group, version, resource, subresource, namespace, kind: kindOf(attributes) };
  const as = matchRules(hook.rules, subject, () =>
    hook.matchesEquivalent ? deps.versions.equivalents(attributes) : [],
  );
  if (as === undefined) return undefined;
  if (hook.namespaceSelector !== undefined && (namespace !== "" || resource === "namespaces")) {
    const labels = await namespaceLabels(deps.objects, attributes);
    if (!hook.namespaceSelector.matches(labels)) return undefined;
  }
  if (hook.matchConditions.length === 0) return as;
  const { holds, error } = await deps.conditions(hook, attributes, as);
  if (error !== undefined) throw forbidden({ group, resource }, name, error.message);
  return holds ? as : undefined;
}

/** An object as a webhook wants to see it. */
export async function viewAs(
  versions: KindVersions,
  attributes: AdmissionAttributes,
  object: Draft | undefined,
  as: ServedVersion,
): Promise<Draft | undefined> {
  const own = kindOf(attributes);
  if (object === undefined || (as.kind.version === own.version && as.kind.group === own.group)) return object;
  try {
    return await versions.convert(attributes, object, as.kind);
  } catch (error) {
    throw internalError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
