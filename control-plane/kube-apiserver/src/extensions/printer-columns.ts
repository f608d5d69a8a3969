import type { CustomResourceColumnDefinition } from "@coracle/api/apiextensions/v1";
import type { Json } from "@coracle/apimachinery";
import type { CatalogTable, TableColumn } from "../discovery/catalog.ts";
import { age } from "../server/table/duration.ts";
import { compileJsonPath, type JsonPath } from "./json-path.ts";

/** Descriptions of ObjectMeta's fields, as columns show them. */
const NAME_TEXT =
  "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const CREATED_TEXT =
  "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

const NAME: TableColumn = { name: "Name", type: "string", format: "name", description: NAME_TEXT, priority: 0 };
const AGE: CustomResourceColumnDefinition = {
  name: "Age",
  type: "date",
  description: CREATED_TEXT,
  jsonPath: ".metadata.creationTimestamp",
};

/** What tables of a version show: the name, then the definition's columns, or the age when it has none. */
export function customTable(columns: readonly CustomResourceColumnDefinition[] | undefined): CatalogTable {
  const shown = columns === undefined || columns.length === 0 ? [AGE] : columns;
  const headers: TableColumn[] = [NAME];
  const paths: { readonly type: string; readonly find: JsonPath }[] = [];
  for (const { name, type, format = "", description = "", priority = 0, jsonPath } of shown) {
    let find: JsonPath;
    try {
      find = compileJsonPath(jsonPath);
    } catch {
      // A path that cannot be read ends the table there, as a definition that was stored by an older server may have.
      break;
    }
    const text =
      description === "" ? `Custom resource definition column (in JSONPath format): ${jsonPath}` : description;
    headers.push({ name, type, format, description: text, priority });
    paths.push({ type, find });
  }
  return {
    columns: headers,
    cellsOf: (object, now) => [
      object.metadata["name"] ?? "",
      ...paths.map(({ type, find }) => cellOf(type, find(object)[0], now)),
    ],
  };
}

/** One value as its column's type has it; null when it is of another. */
function cellOf(type: string, value: unknown, now: number): Json {
  if (value === undefined) return null;
  switch (type) {
    case "string":
      return textOfValue(value);
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date": {
      if (typeof value !== "string") return null;
      if (value === "") return "<unknown>";
      return Number.isNaN(Date.parse(value)) ? "<invalid>" : age(value, now);
    }
    default:
      return null;
  }
}

/** A value as text: collections as JSON. */
export function textOfValue(value: unknown): string {
  if (value === null) return "<nil>";
  return typeof value === "object" ? JSON.stringify(value) : String(value as string | number | boolean);
}
