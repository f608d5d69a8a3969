import {
  ArrayList,
  CelError,
  CelList,
  CelMap,
  CelOpaque,
  celToJson,
  DYN,
  objectType,
  STRING,
  unescapeField,
  type CelType,
  type CelValue,
  type ObjectDeclaration,
} from "@coracle/cel";
import type { Json, JsonObject } from "@coracle/apimachinery";

/** The type of what `ApplyConfiguration` expressions come to. */
export const OBJECT = objectType("Object");
/** The type of one operation of a JSON patch. */
export const JSON_PATCH_OPERATION = objectType("JSONPatch");

const PATCH_FIELDS: Readonly<Record<string, CelType>> = { op: STRING, path: STRING, from: STRING, value: DYN };

/** `Object{…}` and `Object.spec{…}`: a part of an object, by the place it is meant for. */
export class ObjectPart extends CelOpaque {
  readonly type: CelType;
  readonly fields: ReadonlyMap<string, CelValue>;

  constructor(name: string, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.type = objectType(name);
    this.fields = fields;
  }

  equals(other: CelOpaque): boolean {
    return other instanceof ObjectPart && JSON.stringify(toJson(this)) === JSON.stringify(toJson(other));
  }
}

/** `JSONPatch{op: …, path: …}`. */
class PatchOperation extends CelOpaque {
  readonly type = JSON_PATCH_OPERATION;
  readonly fields: ReadonlyMap<string, CelValue>;

  constructor(fields: ReadonlyMap<string, CelValue>) {
    super();
    this.fields = fields;
  }

  equals(other: CelOpaque): boolean {
    return other instanceof PatchOperation && JSON.stringify(operationOf(this)) === JSON.stringify(operationOf(other));
  }
}

/** The types that expressions of mutations can make values of. */
export function resolveMutationType(name: string): ObjectDeclaration | undefined {
  if (name === "JSONPatch") {
    return {
      name,
      field: (field) => PATCH_FIELDS[field],
      construct: (fields) => new PatchOperation(fields),
    };
  }
  if (name !== "Object" && !name.startsWith("Object.")) return undefined;
  // What fields there are is for the schema of the patched object to say.
  return { name, field: () => DYN, construct: (fields) => new ObjectPart(name, fields) };
}

function toJson(value: CelValue): Json {
  return celToJson(value, (opaque) => {
    if (!(opaque instanceof ObjectPart)) return undefined;
    const object: Record<string, Json> = {};
    for (const [name, field] of opaque.fields) object[unescapeField(name) ?? name] = toJson(field);
    return object;
  });
}

function misnamed(value: CelValue, path: readonly string[], problems: string[]): void {
  if (value instanceof ObjectPart) {
    const wanted = path.join(".");
    const { name } = value.type;
    if (name !== wanted) {
      problems.push(
        `unexpected type name ${JSON.stringify(name)}, expected ${JSON.stringify(wanted)}, which matches field name path from root Object type`,
      );
    }
    for (const [field, part] of value.fields) misnamed(part, [...path, field], problems);
  } else if (value instanceof ArrayList) for (const part of value.values) misnamed(part, path, problems);
  else if (value instanceof CelMap) for (const key of value.keys()) misnamed(value.find(key)!, path, problems);
}

function checkNames(value: CelValue, root: readonly string[]): void {
  const problems: string[] = [];
  misnamed(value, root, problems);
  if (problems.length > 0) throw new Error(`type mismatch: ${problems.join("\n")}`);
}

/** The configuration that an expression made. Throws an Error when its parts are named for other places. */
export function configurationOf(value: CelValue): JsonObject {
  if (!(value instanceof ObjectPart)) throw new Error("unsupported return type from ApplyConfiguration expression");
  checkNames(value, ["Object"]);
  return toJson(value) as JsonObject;
}

function operationOf({ fields }: PatchOperation): JsonObject {
  const operation: Record<string, Json> = { op: "", path: "" };
  for (const name of ["op", "path", "from"] as const) {
    const field = fields.get(name);
    if (typeof field === "string" && (field !== "" || name !== "from")) operation[name] = field;
  }
  const value = fields.get("value");
  if (value === undefined) return operation;
  if (value instanceof ObjectPart) checkNames(value, value.type.name.split("."));
  operation["value"] = toJson(value);
  return operation;
}

/** The JSON patch that an expression made. */
export function patchOf(value: CelValue): readonly JsonObject[] {
  if (!(value instanceof CelList)) throw new Error("type mismatch: JSONPatchType.expression should evaluate to array");
  return Array.from({ length: value.size }, (_unused, index) => {
    const operation = value.at(index);
    if (operation instanceof PatchOperation) return operationOf(operation);
    if (operation instanceof CelError) throw new Error(operation.message);
    throw new Error("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch");
  });
}
