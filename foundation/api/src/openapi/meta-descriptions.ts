const CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
const DOCS = "https://kubernetes.io/docs/concepts/overview/working-with-objects";

/** What each field of every object's metadata means; shown by `kubectl explain`. */
export const OBJECT_META_DESCRIPTIONS: Readonly<Record<string, string>> = {
  annotations: `Annotations is an unstructured map that tools may set to keep data of their own with an object. Nothing can be selected by it. More info: ${DOCS}/annotations`,
  creationTimestamp: `CreationTimestamp is a timestamp: the server's time when the object was created, in RFC 3339 form and UTC. Clients may not set it. More info: ${CONVENTIONS}#metadata`,
  deletionGracePeriodSeconds:
    "Seconds that the object is given to end properly before it is removed. Set together with deletionTimestamp only. Read-only.",
  deletionTimestamp: `DeletionTimestamp is the time at which the object will be deleted: it has been asked to go, and stays until its finalizers and its grace period are over. Set by the server. Read-only. More info: ${CONVENTIONS}#metadata`,
  finalizers:
    "Must be empty before the object is removed. Each entry names who has to do something first and takes its entry away afterwards; entries may be dealt with in any order.",
  generateName: `GenerateName is a prefix from which the server makes a unique name when none is given. More info: ${CONVENTIONS}#idempotency`,
  generation: "A number that rises with every change of what is wished for. Set by the server. Read-only.",
  labels: `Map of names and values by which objects are organised and selected. More info: ${DOCS}/labels`,
  managedFields:
    "ManagedFields says which manager set which fields, by which kind of write. Kept by the server for server-side apply.",
  name: `Name must be unique within a namespace. Cannot be updated. More info: ${DOCS}/names#names`,
  namespace: `Namespace is the space within which each name must be unique; empty means default. Not all objects are in one. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces`,
  ownerReferences:
    "List of objects that this one depends on: when all of them are gone, it is collected. One of them at most may be its managing controller.",
  resourceVersion: `An opaque value that tells versions of an object apart: to see changes, to guard updates, to begin watches. Set by the server. Read-only. More info: ${CONVENTIONS}#concurrency-control-and-consistency`,
  selfLink: "Deprecated: the server no longer sets it.",
  uid: `UID is unique in time and space, and tells objects apart that had the same name one after the other. Set by the server. Read-only. More info: ${DOCS}/names#uids`,
};
