import type { ObjectDeclaration } from "../check/environment.ts";
import { createCelEnvironment, type CelEnvironment } from "../environment.ts";
import { AUTHORIZER, RESOURCE_CHECK } from "../library/authorizer.ts";
import { BOOL, DYN, INT, listType, mapType, objectType, STRING, TIMESTAMP, type CelType } from "../types/cel-type.ts";
import { DYNAMIC, type Shape } from "../values/json-view.ts";

/** A type, and how JSON is read as it. */
interface Known {
  readonly type: CelType;
  readonly shape: Shape;
}

const text: Known = { type: STRING, shape: { kind: "string" } };
const flag: Known = { type: BOOL, shape: { kind: "boolean" } };
const whole: Known = { type: INT, shape: { kind: "integer" } };
const time: Known = { type: TIMESTAMP, shape: { kind: "string", format: "date-time" } };
const anything: Known = { type: DYN, shape: DYNAMIC };
const listOf = ({ type, shape }: Known): Known => ({ type: listType(type), shape: { kind: "list", items: shape } });
const mapOf = ({ type, shape }: Known): Known => ({
  type: mapType(STRING, type),
  shape: { kind: "map", values: shape },
});

/** Declares object types as it goes. */
class Declarations {
  readonly objects: ObjectDeclaration[] = [];

  object(name: string, fields: Readonly<Record<string, Known>>): Known {
    this.objects.push({ name, field: (field) => (Object.hasOwn(fields, field) ? fields[field]?.type : undefined) });
    const shapes = Object.entries(fields).map(([field, { shape }]) => [field, shape] as const);
    return { type: objectType(name), shape: { kind: "object", fields: new Map(shapes), nullable: true } };
  }
}

function requestType(declare: Declarations): Known {
  const kind = declare.object("kubernetes.GroupVersionKind", { group: text, version: text, kind: text });
  const resource = declare.object("kubernetes.GroupVersionResource", { group: text, version: text, resource: text });
  const userInfo = declare.object("kubernetes.UserInfo", {
    username: text,
    uid: text,
    groups: listOf(text),
    extra: mapOf(listOf(text)),
  });
  return declare.object("kubernetes.AdmissionRequest", {
    kind,
    resource,
    subResource: text,
    requestKind: kind,
    requestResource: resource,
    requestSubResource: text,
    name: text,
    namespace: text,
    operation: text,
    userInfo,
    dryRun: flag,
    options: anything,
  });
}

function namespaceType(declare: Declarations): Known {
  const spec = declare.object("kubernetes.NamespaceSpec", { finalizers: listOf(text) });
  const condition = declare.object("kubernetes.NamespaceCondition", {
    status: text,
    type: text,
    lastTransitionTime: time,
    message: text,
    reason: text,
  });
  const status = declare.object("kubernetes.NamespaceStatus", { conditions: listOf(condition), phase: text });
  const metadata = declare.object("kubernetes.NamespaceMetadata", {
    name: text,
    generateName: text,
    namespace: text,
    labels: mapOf(text),
    annotations: mapOf(text),
    UID: text,
    creationTimestamp: time,
    deletionGracePeriodSeconds: whole,
    deletionTimestamp: time,
    generation: whole,
    resourceVersion: text,
    finalizers: listOf(text),
  });
  return declare.object("kubernetes.Namespace", { metadata, spec, status });
}

let shared: CelEnvironment | undefined;
let base: CelEnvironment | undefined;

/** What every expression about admission knows: `object`, `oldObject`, `request`, `namespaceObject`. */
export function admissionEnvironmentWithoutAuthorizer(): CelEnvironment {
  if (base !== undefined) return base;
  const declare = new Declarations();
  const request = requestType(declare);
  const namespaceObject = namespaceType(declare);
  base = createCelEnvironment({
    variables: {
      object: { type: DYN, shape: DYNAMIC },
      oldObject: { type: DYN, shape: DYNAMIC },
      request,
      namespaceObject,
    },
    objects: declare.objects,
  });
  return base;
}

/**
 * What expressions about admission know: `object`, `oldObject`, `request`, `namespaceObject`, `authorizer`. Made when
 * the first expression is met.
 */
export function admissionEnvironment(): CelEnvironment {
  shared ??= admissionEnvironmentWithoutAuthorizer().extend({
    variables: { authorizer: AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK },
  });
  return shared;
}
