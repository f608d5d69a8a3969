import type { ObjectMeta } from "@coracle/api/meta/v1";
import { validateObjectMeta, validateObjectMetaUpdate, type FieldError } from "@coracle/apimachinery";

/**
 * What a kind's rules for updates look at in the metadata, on top of what the registry looks at for all kinds. Kinds do
 * so more than once, and every time the client hears of the same fault again:
 *
 * - `whole`: everything, as for a new object; `wholePlain`: the same without the names of single finalizers
 * - `change`: what may not change, and the names of single finalizers; `changePlain`: without those
 */
type MetadataCheck = "whole" | "wholePlain" | "change" | "changePlain";

const BOTH: readonly MetadataCheck[] = ["whole", "change"];
const CHANGE_FIRST: readonly MetadataCheck[] = ["change", "whole"];
const WHOLE: readonly MetadataCheck[] = ["whole"];
const CHANGE: readonly MetadataCheck[] = ["change"];

const CHECKS: Readonly<Record<string, readonly MetadataCheck[]>> = {
  "/namespaces": BOTH,
  "/nodes": BOTH,
  "batch/jobs": BOTH,
  "networking.k8s.io/networkpolicies": BOTH,
  "networking.k8s.io/ipaddresses": BOTH,
  "storage.k8s.io/storageclasses": BOTH,
  "storage.k8s.io/csistoragecapacities": BOTH,
  "rbac.authorization.k8s.io/roles": BOTH,
  "rbac.authorization.k8s.io/rolebindings": BOTH,
  "rbac.authorization.k8s.io/clusterroles": BOTH,
  "rbac.authorization.k8s.io/clusterrolebindings": BOTH,
  "certificates.k8s.io/certificatesigningrequests": BOTH,
  "resource.k8s.io/deviceclasses": BOTH,
  "resource.k8s.io/resourceclaims": BOTH,
  "resource.k8s.io/resourceclaimtemplates": BOTH,
  "/configmaps": CHANGE_FIRST,
  "/secrets": CHANGE_FIRST,
  "/serviceaccounts": CHANGE_FIRST,
  "/pods": CHANGE_FIRST,
  "/endpoints": CHANGE_FIRST,
  "/persistentvolumeclaims": CHANGE_FIRST,
  "apps/controllerrevisions": CHANGE_FIRST,
  "networking.k8s.io/ingresses": CHANGE_FIRST,
  "networking.k8s.io/ingressclasses": CHANGE_FIRST,
  "storage.k8s.io/volumeattributesclasses": CHANGE_FIRST,
  "/limitranges": WHOLE,
  "discovery.k8s.io/endpointslices": WHOLE,
  "storage.k8s.io/volumeattachments": WHOLE,
  "flowcontrol.apiserver.k8s.io/flowschemas": WHOLE,
  "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations": WHOLE,
  "/persistentvolumes": ["whole", "whole"],
  "storage.k8s.io/csinodes": ["whole", "whole"],
  "/events": [],
  "policy/poddisruptionbudgets": [],
  "coordination.k8s.io/leases": ["changePlain"],
  "apiextensions.k8s.io/customresourcedefinitions": ["changePlain"],
  "node.k8s.io/runtimeclasses": ["wholePlain", "changePlain"],
  "apiregistration.k8s.io/apiservices": ["wholePlain", "changePlain"],
  "admissionregistration.k8s.io/mutatingwebhookconfigurations": ["wholePlain"],
  "admissionregistration.k8s.io/validatingwebhookconfigurations": ["wholePlain"],
  "admissionregistration.k8s.io/validatingadmissionpolicies": ["wholePlain"],
  "admissionregistration.k8s.io/validatingadmissionpolicybindings": ["wholePlain"],
};

const FINALIZER_NAME = /^metadata\.finalizers\[\d+\]$/;
const CHANGEABLE = /^metadata\.(labels|annotations|ownerReferences|managedFields)\b/;
const isOfSingleFinalizer = ({ field }: FieldError): boolean => FINALIZER_NAME.test(field);

const CHANGE_CHECKED_FIRST: ReadonlySet<string> = new Set([
  "apps/daemonsets",
  "networking.k8s.io/ingressclasses",
  "storage.k8s.io/volumeattributesclasses",
]);

/** Whether the kind looks at what may not change before it looks at the object as such. */
export const checksChangeFirst = (type: { readonly group: string; readonly plural: string }): boolean =>
  CHANGE_CHECKED_FIRST.has(`${type.group}/${type.plural}`);

/** A stored name was good once; newer rules do not lock its owner out. */
const anyName = (): string[] => [];

/** What is wrong with the metadata of an update, as often as upstream's kind says so. `subresource`: `""` for the object. */
export function checkUpdatedMetadata(
  type: { readonly group: string; readonly plural: string; readonly namespaced: boolean },
  subresource: string,
  meta: ObjectMeta,
  old: ObjectMeta,
  hasFreeFinalizers = false,
): FieldError[] {
  const whole = validateObjectMeta(meta, type.namespaced, anyName, "metadata", hasFreeFinalizers);
  // What may be changed at all is looked at with what may not.
  const change = [...validateObjectMetaUpdate(meta, old), ...whole.filter(({ field }) => CHANGEABLE.test(field))];
  if (whole.length === 0 && change.length === 0) return [];
  const names = whole.filter(isOfSingleFinalizer);
  const wholePlain = whole.filter((error) => !isOfSingleFinalizer(error));
  const found: Readonly<Record<MetadataCheck, readonly FieldError[]>> = {
    whole,
    wholePlain,
    change: [...change, ...names],
    changePlain: change,
  };
  const checks = subresource === "" ? (CHECKS[`${type.group}/${type.plural}`] ?? CHANGE) : CHANGE;
  return [...wholePlain, ...change, ...checks.flatMap((check) => found[check])];
}
