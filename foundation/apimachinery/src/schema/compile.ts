import type { Definition, DefinitionSource } from "./definitions.ts";
import type { FieldSchema, ObjectSchema, SchemaNode } from "./schema-node.ts";

const MACHINERY = "io.k8s.apimachinery.pkg";
const EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
const ANY: SchemaNode = { kind: "any" };
const STRING: SchemaNode = { kind: "string" };
const BOOLEAN: SchemaNode = { kind: "boolean" };
const NUMBER: SchemaNode = { kind: "number" };
const BYTES: SchemaNode = { kind: "bytes" };
const INT32: SchemaNode = { kind: "integer", bits: 32 };
const INT64: SchemaNode = { kind: "integer", bits: 64 };
const QUANTITY: SchemaNode = { kind: "quantity", isRoundedToMilli: false };
const LISTED_QUANTITY: SchemaNode = { kind: "quantity", isRoundedToMilli: true };

/** Types whose JSON is not what their definition says. */
const SPECIAL: Readonly<Record<string, SchemaNode>> = {
  [`${MACHINERY}.api.resource.Quantity`]: QUANTITY,
  [`${MACHINERY}.util.intstr.IntOrString`]: { kind: "intOrString" },
  [`${MACHINERY}.apis.meta.v1.Time`]: { kind: "time" },
  [`${MACHINERY}.apis.meta.v1.MicroTime`]: { kind: "microTime" },
  [`${MACHINERY}.apis.meta.v1.Duration`]: { kind: "duration" },
  [`${MACHINERY}.apis.meta.v1.FieldsV1`]: ANY,
  [`${MACHINERY}.apis.meta.v1.Patch`]: ANY,
  [`${MACHINERY}.runtime.RawExtension`]: ANY,
  [`${EXTENSIONS}.JSON`]: ANY,
};

const SCHEMA_OR: Readonly<Record<string, "array" | "boolean" | "strings">> = {
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`]: "array",
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`]: "boolean",
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`]: "strings",
};

/** Turns definitions into the form the engine walks, each once. */
export function createCompiler(source: DefinitionSource): (name: string) => ObjectSchema | undefined {
  const compiled = new Map<string, ObjectSchema>();

  const reference = (name: string): SchemaNode => {
    const special = SPECIAL[name];
    if (special !== undefined) return special;
    const other = SCHEMA_OR[name];
    if (other !== undefined) {
      return {
        kind: "schemaOr",
        other,
        get schema() {
          return objectOf(`${EXTENSIONS}.JSONSchemaProps`) as ObjectSchema;
        },
      };
    }
    const object = objectOf(name);
    return object ?? ANY;
  };

  const nodeOf = (definition: Definition): SchemaNode => {
    if (definition.$ref !== undefined) return reference(definition.$ref);
    switch (definition.type) {
      case "string":
        return definition.format === "byte" ? BYTES : STRING;
      case "boolean":
        return BOOLEAN;
      case "number":
        return NUMBER;
      case "integer":
        return definition.format === "int64" ? INT64 : INT32;
      case "array":
        return { kind: "array", items: definition.items === undefined ? ANY : nodeOf(definition.items) };
      case "object":
        if (definition.additionalProperties === undefined) return ANY;
        return { kind: "map", values: nodeOf(definition.additionalProperties) };
      default:
        return ANY;
    }
  };

  const fieldOf = (name: string, owner: string, property: Definition, flags: FieldFlags): FieldSchema => {
    const strategy = property["x-kubernetes-patch-strategy"]?.split(",") ?? [];
    let type = nodeOf(property);
    if (type.kind === "map" && type.values === QUANTITY && owner.startsWith("io.k8s.api.core.")) {
      type = { kind: "map", values: LISTED_QUANTITY };
    }
    return {
      name,
      type,
      isRequired: flags.isRequired,
      isNullWhenAbsent: isNullList(`${owner}.${name}`),
      isNullWhenEmpty: EMPTY_IS_NULL.has(`${owner}.${name}`),
      omitsZero:
        flags.omitsZero ||
        (!flags.isRequired &&
          !isEmptyToo(owner, name) &&
          !isNullList(`${owner}.${name}`) &&
          (type.kind === "array" || type.kind === "map" || type.kind === "bytes")),
      fill: flags.omitsZero
        ? undefined
        : isShownNull(owner, name, type)
          ? { value: null }
          : flags.isRequired && type.kind === "quantity"
            ? { value: "0" }
            : fillOf(property.default, type),
      declaredDefault: scalarOf(property.default),
      patchMerges: strategy.includes("merge"),
      patchRetainsKeys: strategy.includes("retainKeys"),
      patchReplaces: strategy.includes("replace"),
      patchMergeKey: property["x-kubernetes-patch-merge-key"],
      listType: property["x-kubernetes-list-type"],
      listMapKeys: property["x-kubernetes-list-map-keys"] ?? [],
      mapType: property["x-kubernetes-map-type"],
    };
  };

  const objectOf = (name: string): ObjectSchema | undefined => {
    const known = compiled.get(name);
    if (known !== undefined) return known;
    const definition = source.find(name);
    if (definition === undefined) return undefined;
    // Registered before its members are compiled: types contain themselves.
    const fields = new Map<string, FieldSchema>();
    const filled: FieldSchema[] = [];
    const object: ObjectSchema = {
      kind: "object",
      name,
      fields,
      filled,
      isAtomic: definition["x-kubernetes-map-type"] === "atomic",
    };
    compiled.set(name, object);
    const omitted = source.omittedWhenZero(name);
    for (const [member, property] of Object.entries(definition.properties ?? {})) {
      const isRequired = definition.required?.includes(member) === true;
      const field = fieldOf(member, name, property, { isRequired, omitsZero: omitted.includes(member) });
      fields.set(member, field);
      if (field.fill !== undefined) filled.push(field);
    }
    return object;
  };

  return objectOf;
}

const EVENT = /^io\.k8s\.api\.(core|events)\.v1\.Event(Series)?$/;
const CONDITION = /Condition$/;
const TIMES_OF_CONDITIONS: ReadonlySet<string> = new Set([
  "lastTransitionTime",
  "lastUpdateTime",
  "lastHeartbeatTime",
  "lastProbeTime",
]);

/** Lists that show as null when there are none. */
const NULL_LISTS: ReadonlySet<string> = new Set([
  "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus.currentMetrics",
  "io.k8s.api.core.v1.LimitRangeSpec.limits",
  "io.k8s.api.storage.v1.CSINodeSpec.drivers",
  "io.k8s.api.resource.v1.DeviceClaim.requests",
  "io.k8s.api.rbac.v1.Role.rules",
  "io.k8s.api.rbac.v1.ClusterRole.rules",
  "io.k8s.api.discovery.v1.EndpointSlice.endpoints",
  "io.k8s.api.discovery.v1.EndpointSlice.ports",
]);

/** Those of which an empty one is none as soon as it is read. */
const EMPTY_IS_NULL: ReadonlySet<string> = new Set([
  "io.k8s.api.storage.v1.CSINodeDriver.topologyKeys",
  "io.k8s.api.resource.v1.AllocatedDeviceStatus.conditions",
  "io.k8s.api.core.v1.ProjectedVolumeSource.sources",
  "io.k8s.api.batch.v1.PodFailurePolicy.rules",
]);

const isNullList = (member: string): boolean => NULL_LISTS.has(member) || EMPTY_IS_NULL.has(member);

/** The times of events and of most conditions are there even when there is none. */
function isShownNull(owner: string, name: string, type: SchemaNode): boolean {
  if (isNullList(`${owner}.${name}`)) return true;
  if (type.kind !== "time" && type.kind !== "microTime") return false;
  return (
    (EVENT.test(owner) && name !== "creationTimestamp") ||
    (CONDITION.test(owner) && TIMES_OF_CONDITIONS.has(name) && !owner.endsWith(".PodCondition"))
  );
}

/** Lists of which none is something else than an empty one. */
const isEmptyToo = (owner: string, name: string): boolean => name === "policies" && owner.endsWith(".HPAScalingRules");

interface FieldFlags {
  readonly isRequired: boolean;
  readonly omitsZero: boolean;
}

function scalarOf(declared: unknown): FieldSchema["declaredDefault"] {
  if (typeof declared === "string" || typeof declared === "number" || typeof declared === "boolean") return declared;
  return undefined;
}

function fillOf(declared: unknown, type: SchemaNode): FieldSchema["fill"] {
  if (declared === undefined || declared === null) return undefined;
  if (typeof declared === "object") return type.kind === "object" ? "object" : undefined;
  const value = scalarOf(declared);
  return value === undefined ? undefined : { value };
}
