import { DEDUCED, type MergeField, type MergeType, type StructType } from "../apply/merge-type.ts";
import { mergeTypeOf } from "../apply/merge-type.ts";
import { builtInSchema } from "../schema/schema-engine.ts";
import { isMetaField } from "./prune.ts";
import type { StructuralNode } from "./structural-node.ts";

/** How server-side apply owns and merges the objects of a schema. */
export function mergeTypeOfResource(root: StructuralNode): MergeType {
  return typeOfNode(root, false, true);
}

function typeOfNode(node: StructuralNode, isFree: boolean, isResource: boolean): MergeType {
  // Everything inside what is of free form is so, too.
  const free = isFree || node.preservesUnknownFields;
  switch (node.isIntOrString ? "" : node.type) {
    case "integer":
    case "number":
      return { kind: "scalar", expects: "number" };
    case "boolean":
      return { kind: "scalar", expects: "boolean" };
    case "string":
      return { kind: "scalar", expects: ["", "byte"].includes(node.bounds?.format ?? "") ? "string" : "scalar" };
    case "array":
      return listOf(node, free);
    case "object":
      return objectOf(node, free, isResource || node.isEmbeddedResource);
    case "":
      if (node.isIntOrString) return { kind: "scalar", expects: "scalar" };
      return node.properties.size > 0 || node.additional !== undefined
        ? objectOf(node, free, isResource || node.isEmbeddedResource)
        : DEDUCED;
  }
}

function listOf(node: StructuralNode, isFree: boolean): MergeType {
  return {
    kind: "list",
    isAtomic: node.listType !== "set" && node.listType !== "map",
    keys: node.listType === "map" ? [...node.listMapKeys].sort() : [],
    items: node.items === undefined ? { kind: "scalar", expects: "anything" } : typeOfNode(node.items, isFree, false),
  };
}

function objectOf(node: StructuralNode, isFree: boolean, isResource: boolean): MergeType {
  const isAtomic = node.mapType === "atomic";
  const values =
    node.additional === undefined
      ? node.allowsAdditional || (!node.forbidsAdditional && (isFree || node.properties.size === 0))
        ? DEDUCED
        : undefined
      : typeOfNode(node.additional, isFree, false);
  if (node.properties.size === 0 && !isResource) return { kind: "map", isAtomic, values: values ?? DEDUCED };
  let fields: ReadonlyMap<string, MergeField> | undefined;
  return {
    kind: "struct",
    isAtomic,
    get fields() {
      return (fields ??= fieldsOf(node, isFree, isResource));
    },
    rest: values,
  } satisfies StructType;
}

function fieldsOf(node: StructuralNode, isFree: boolean, isResource: boolean): ReadonlyMap<string, MergeField> {
  const out = new Map<string, MergeField>();
  for (const [name, property] of node.properties) {
    if (isResource && isMetaField(name)) continue;
    out.set(name, field(name, typeOfNode(property, isFree, false), property.default));
  }
  if (!isResource) return out;
  const meta = builtInSchema().find("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  out.set("apiVersion", field("apiVersion", { kind: "scalar", expects: "string" }));
  out.set("kind", field("kind", { kind: "scalar", expects: "string" }));
  out.set("metadata", field("metadata", meta === undefined ? DEDUCED : mergeTypeOf(meta)));
  return out;
}

function field(name: string, type: MergeType, fallback?: unknown): MergeField {
  const isScalar = typeof fallback === "string" || typeof fallback === "number" || typeof fallback === "boolean";
  return { name, element: `f:${name}`, type, isNullWhenAbsent: false, fallback: isScalar ? fallback : undefined };
}
