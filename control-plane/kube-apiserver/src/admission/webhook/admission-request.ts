import type { Draft, Json, JsonObject } from "@coracle/apimachinery";
import type { TypeName } from "../../registry/resource-catalog.ts";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";

const OPTIONS_KINDS: Readonly<Record<string, string>> = {
  CREATE: "CreateOptions",
  UPDATE: "UpdateOptions",
  DELETE: "DeleteOptions",
};

/** The kind of what a request carries: subresources have others than their resource. */
export function kindOf(attributes: AdmissionAttributes): TypeName {
  const { group, version, kind } = attributes;
  const sent = (attributes.object ?? attributes.oldObject) as JsonObject | undefined;
  const apiVersion = sent?.["kind"] === kind ? sent["apiVersion"] : undefined;
  if (typeof apiVersion !== "string" || apiVersion === "") return { group, version, kind };
  const slash = apiVersion.indexOf("/");
  if (slash === -1) return { group: "", version: apiVersion, kind };
  return { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
}

/** A namespace is in itself. */
export function namespaceOf({ group, resource, namespace, name }: AdmissionAttributes): string {
  return group === "" && resource === "namespaces" ? name : namespace;
}

/** The options of the request, as it gave them. */
export function optionsOf(attributes: AdmissionAttributes): Json {
  const kind = OPTIONS_KINDS[attributes.operation];
  if (kind === undefined) return null;
  const head = { kind, apiVersion: "meta.k8s.io/v1" };
  const { query } = attributes.context;
  const dryRun = attributes.isDryRun ? { dryRun: ["All"] } : {};
  if (attributes.operation === "DELETE") {
    const { group, resource, oldObject } = attributes;
    // A namespace is deleted by its uid, whoever asks.
    const isNamespace = group === "" && resource === "namespaces";
    const own = isNamespace ? { preconditions: { uid: oldObject?.metadata["uid"] } } : {};
    return { ...head, ...own, ...(attributes.options as JsonObject | undefined), ...dryRun } as Json;
  }
  const given: Draft = {};
  for (const name of ["fieldManager", "fieldValidation"]) {
    const value = query?.get(name) ?? "";
    if (value !== "") given[name] = value;
  }
  return { ...head, ...dryRun, ...given } as Json;
}

/** Members of the metadata that the server sets after plugins that mutate have run. */
const LATER = ["uid", "creationTimestamp", "generation"] as const;

/** The object as a mutating webhook sees it: a new one has no identity yet. */
export function withoutIdentity(object: Draft, { isUnnamed }: Pick<AdmissionAttributes, "isUnnamed">): Draft {
  const metadata = { ...(object.metadata as Draft | undefined) };
  for (const member of LATER) delete metadata[member];
  if (isUnnamed === true) delete metadata.name;
  return { ...object, metadata };
}

/** What a review is made of. */
export interface ReviewSubject {
  readonly attributes: AdmissionAttributes;
  /** As what the webhook gets it. */
  readonly as: ServedVersion;
  readonly object: unknown;
  readonly oldObject: unknown;
}

/** The AdmissionReview that is sent. */
export function admissionReview(version: "v1" | "v1beta1", uid: string, subject: ReviewSubject): JsonObject {
  const { attributes, as } = subject;
  const { user } = attributes.context;
  const { subresource } = attributes;
  const name = attributes.isUnnamed === true ? "" : attributes.name;
  const namespace = namespaceOf(attributes);
  const { group, version: requestVersion, resource } = attributes;
  const sub = subresource === "" ? undefined : subresource;
  const requestKind = kindOf(attributes);
  const request = {
    uid,
    kind: gvk(as.kind),
    resource: { group: as.group, version: as.version, resource: as.resource },
    ...(sub === undefined ? {} : { subResource: sub }),
    requestKind: gvk(requestKind),
    requestResource: { group, version: requestVersion, resource },
    ...(sub === undefined ? {} : { requestSubResource: sub }),
    ...(name === "" ? {} : { name }),
    ...(namespace === "" ? {} : { namespace }),
    operation: attributes.operation,
    userInfo: {
      username: user.name,
      ...(user.uid === undefined || user.uid === "" ? {} : { uid: user.uid }),
      ...(user.groups.length === 0 ? {} : { groups: user.groups }),
      ...(user.extra === undefined || Object.keys(user.extra).length === 0 ? {} : { extra: user.extra }),
    },
    object: attributes.operation === "CONNECT" ? optionsObject(subject.object) : (subject.object ?? null),
    oldObject: subject.oldObject ?? null,
    dryRun: attributes.isDryRun,
    options: optionsOf(attributes),
  };
  return { kind: "AdmissionReview", apiVersion: `admission.k8s.io/${version}`, request } as unknown as JsonObject;
}

/** What a connect carries has no metadata. */
function optionsObject(object: unknown): unknown {
  const { metadata: _, ...options } = object as Draft;
  return options;
}

const gvk = ({ group, version, kind }: TypeName): JsonObject => ({ group, version, kind });
