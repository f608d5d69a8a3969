import type { ResourceEntry } from "./resource-catalog.ts";

const NONE: readonly string[] = [];
const STATUS: readonly string[] = ["status"];
const SPEC: readonly string[] = ["spec"];
const NO_METADATA: readonly string[] = ["spec", "metadata"];
const NOTHING_RESET: Readonly<Record<string, readonly string[]>> = { "": NONE, status: NONE };
const ONLY_STATUS: Readonly<Record<string, readonly string[]>> = { status: NO_METADATA };

/** Where kinds differ: by resource, then by subresource. */
const SPECIAL: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  namespaces: { status: NONE },
  pods: {
    status: ["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"],
    ephemeralcontainers: NONE,
    resize: NONE,
  },
  "deployments.apps": { status: ["spec", "metadata.labels"] },
  "certificatesigningrequests.certificates.k8s.io": { "": ["spec", "status"], approval: SPEC },
  "servicecidrs.networking.k8s.io": NOTHING_RESET,
  "volumeattachments.storage.k8s.io": ONLY_STATUS,
  "flowschemas.flowcontrol.apiserver.k8s.io": ONLY_STATUS,
  "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": ONLY_STATUS,
  "validatingadmissionpolicies.admissionregistration.k8s.io": ONLY_STATUS,
  "customresourcedefinitions.apiextensions.k8s.io": ONLY_STATUS,
  "apiservices.apiregistration.k8s.io": ONLY_STATUS,
  "resourceclaims.resource.k8s.io": ONLY_STATUS,
};

/** Members that a way of writing sets back whatever is sent, and that a writer on this way therefore does not own. */
export function resetFieldsOf(entry: ResourceEntry, subresource: string): readonly string[] {
  const special = SPECIAL[entry.group === "" ? entry.plural : `${entry.plural}.${entry.group}`]?.[subresource];
  if (special !== undefined) return special;
  if (subresource === "status") return SPEC;
  return entry.subresources?.["status"] === undefined ? NONE : STATUS;
}
