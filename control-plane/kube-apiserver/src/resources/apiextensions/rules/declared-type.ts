import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  escapeField,
  INT,
  listType,
  mapType,
  objectType,
  STRING,
  TIMESTAMP,
  type CelType,
  type ObjectDeclaration,
  type Shape,
} from "@coracle/cel";
import type { StructuralNode } from "@coracle/apimachinery/structural";

/** What expressions know of a place in a schema: its type, and how large it can be. */
export interface DeclaredType {
  readonly type: CelType;
  /** Items, entries or characters at most; 0 where that says nothing. */
  readonly maxElements: number;
  /** Bytes of JSON at least. */
  readonly minSize: number;
  /** Of lists and maps. */
  readonly element?: DeclaredType;
  /** Of objects, by the names that expressions use. */
  readonly fields?: ReadonlyMap<string, DeclaredType>;
}

/** The largest request that is read. */
export const LARGEST_REQUEST = 3 * 1024 * 1024;
const LONGEST_STRING = LARGEST_REQUEST - 2;

const simple = (type: CelType, minSize: number, maxElements = 0): DeclaredType => ({ type, minSize, maxElements });
const STRING_FIELD = simple(STRING, 2, LONGEST_STRING);

/** Types under their object names, as they are made for one scope. */
export class TypeScope {
  readonly #objects = new Map<string, DeclaredType>();

  /** The declared type of a node; undefined for what expressions do not see. */
  declare(node: StructuralNode, isResource: boolean): DeclaredType | undefined {
    if (node.isIntOrString) return simple(DYN, 1, maxLengthOf(node));
    switch (node.type) {
      case "array":
        return this.#list(node);
      case "object":
        return this.#object(node, isResource);
      case "string":
        return stringType(node);
      case "boolean":
        return simple(BOOL, 4);
      case "number":
        return simple(DOUBLE, 1);
      case "integer":
        return simple(INT, 1);
      case "":
        return undefined;
    }
  }

  /** For environments that the types are used in. */
  get objects(): readonly ObjectDeclaration[] {
    return [...this.#objects].map(([name, declared]) => ({
      name,
      field: (field) => declared.fields?.get(field)?.type,
    }));
  }

  #list(node: StructuralNode): DeclaredType | undefined {
    const { items } = node;
    const element = items === undefined ? undefined : this.declare(items, items.isEmbeddedResource);
    if (element === undefined) return undefined;
    const maxElements = Math.max(0, node.bounds?.maxItems ?? Math.floor(LONGEST_STRING / (element.minSize + 1)));
    return { type: listType(element.type), maxElements, minSize: 2, element };
  }

  #object(node: StructuralNode, isResource: boolean): DeclaredType | undefined {
    const { additional } = node;
    if (additional !== undefined) {
      const element = this.declare(additional, additional.isEmbeddedResource);
      if (element === undefined) return undefined;
      const maxElements = Math.max(0, node.bounds?.maxProperties ?? Math.floor(LONGEST_STRING / (element.minSize + 6)));
      return { type: mapType(STRING, element.type), maxElements, minSize: 2, element };
    }
    const fields = new Map<string, DeclaredType>();
    const mandatory = new Set(node.bounds?.required);
    let minSize = 2;
    for (const [name, property] of node.properties) {
      const declared = this.declare(property, property.isEmbeddedResource);
      if (declared === undefined) continue;
      const escaped = escapeField(name);
      if (escaped !== undefined) fields.set(escaped, declared);
      if (mandatory.has(name) && !property.hasDefault) minSize += name.length + declared.minSize + 4;
    }
    if (isResource) this.#addMeta(fields);
    return this.#named(fields, minSize);
  }

  /** Every resource has a type and a name, whatever its schema says. */
  #addMeta(fields: Map<string, DeclaredType>): void {
    fields.set("apiVersion", STRING_FIELD);
    fields.set("kind", STRING_FIELD);
    fields.set(
      "metadata",
      this.#named(
        new Map([
          ["name", STRING_FIELD],
          ["generateName", STRING_FIELD],
        ]),
        2,
      ),
    );
  }

  #named(fields: ReadonlyMap<string, DeclaredType>, minSize: number): DeclaredType {
    const name = `selfType${this.#objects.size}`;
    const declared: DeclaredType = { type: objectType(name), maxElements: 0, minSize, fields };
    this.#objects.set(name, declared);
    return declared;
  }
}

function maxLengthOf(node: StructuralNode): number {
  const { maxLength } = node.bounds ?? {};
  return maxLength === undefined ? LONGEST_STRING : Math.max(0, maxLength) * 4;
}

function stringType(node: StructuralNode): DeclaredType {
  switch (node.bounds?.format) {
    case "byte":
      return simple(BYTES, 2, Math.max(0, node.bounds.maxLength ?? LONGEST_STRING));
    case "duration":
      return simple(DURATION, 3, 32);
    case "date":
      return simple(TIMESTAMP, 12, 12);
    case "date-time":
      return simple(TIMESTAMP, 21, 32);
    default: {
      const values = node.bounds?.maxLength === undefined ? node.bounds?.enum : undefined;
      if (values === undefined) return simple(STRING, 2, maxLengthOf(node));
      const lengths = values.map((value) => (typeof value === "string" ? Buffer.byteLength(value) : 0));
      return simple(STRING, 2, Math.max(0, ...lengths));
    }
  }
}

const shapes = new WeakMap<StructuralNode, Shape>();
const TEXT: Shape = { kind: "string" };
const META: Shape = {
  kind: "object",
  fields: new Map([
    ["name", TEXT],
    ["generateName", TEXT],
  ]),
};

/** How JSON at a node is read by expressions. Made once. */
export function shapeOf(node: StructuralNode, isResource: boolean): Shape {
  const known = isResource ? undefined : shapes.get(node);
  if (known !== undefined) return known;
  const shape = makeShape(node, isResource);
  if (!isResource) shapes.set(node, shape);
  return shape;
}

function makeShape(node: StructuralNode, isResource: boolean): Shape {
  const { nullable } = node;
  if (node.isIntOrString) return { kind: "intOrString", nullable };
  switch (node.type) {
    case "array":
      return {
        kind: "list",
        items: node.items === undefined ? { kind: "dyn" } : shapeOf(node.items, node.items.isEmbeddedResource),
        listType: node.listType ?? "atomic",
        mapKeys: node.listMapKeys,
        nullable,
      };
    case "object":
      if (node.additional !== undefined)
        return { kind: "map", values: shapeOf(node.additional, node.additional.isEmbeddedResource), nullable };
      return objectShape(node, isResource);
    case "string": {
      const format = node.bounds?.format ?? "";
      return ["byte", "duration", "date", "date-time"].includes(format)
        ? { kind: "string", format, nullable }
        : { kind: "string", nullable };
    }
    case "boolean":
    case "number":
    case "integer":
      return { kind: node.type, nullable };
    case "":
      return { kind: "preserved", nullable };
  }
}

function objectShape(node: StructuralNode, isResource: boolean): Shape {
  const fields = new Map<string, Shape>();
  for (const [name, property] of node.properties) fields.set(name, shapeOf(property, property.isEmbeddedResource));
  if (isResource) {
    fields.set("apiVersion", TEXT);
    fields.set("kind", TEXT);
    fields.set("metadata", META);
  }
  return { kind: "object", fields, nullable: node.nullable };
}
