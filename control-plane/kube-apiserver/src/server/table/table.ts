import { parseTable } from "@coracle/api";
import type { Json, JsonObject } from "@coracle/apimachinery";
import type { CatalogResource, TableColumn } from "../../discovery/catalog.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";
import { CELLS } from "./cells.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

type PrinterRow = readonly [name: string, type: string, format: string, priority: number, how: string];

let printers: Readonly<Record<string, readonly PrinterRow[]>> | undefined;
const columnsOf = new Map<string, readonly TableColumn[]>();

const PLAIN_COLUMNS: readonly TableColumn[] = [
  { name: "Name", type: "string", format: "name", description: "", priority: 0 },
  { name: "Created At", type: "date", format: "", description: "", priority: 0 },
];

function keyOf(resource: CatalogResource): string {
  return resource.group === ""
    ? `${resource.version}/${resource.plural}`
    : `${resource.group}/${resource.version}/${resource.plural}`;
}

function definitions(resource: CatalogResource): readonly TableColumn[] {
  if (resource.table !== undefined) return resource.table.columns;
  const key = keyOf(resource);
  let columns = columnsOf.get(key);
  if (columns !== undefined) return columns;
  printers ??= (parseTable("printers") as { resources: Record<string, PrinterRow[]> }).resources;
  const rows = CELLS[key] === undefined ? undefined : printers[key];
  columns =
    rows?.map(([name, type, format, priority]) => ({ name, type, format, description: "", priority })) ?? PLAIN_COLUMNS;
  columnsOf.set(key, columns);
  return columns;
}

export interface TableOptions {
  /** `v1` or `v1beta1`. */
  readonly version: string;
  readonly includeObject: IncludeObject;
  readonly now: number;
  readonly metadata: JsonObject;
  /** Later events of a watch carry no column definitions. */
  readonly hasHeader: boolean;
}

function included(object: ApiObject, options: TableOptions): JsonObject | undefined {
  switch (options.includeObject) {
    case "None":
      return undefined;
    case "Object":
      return object;
    case "Metadata":
      return {
        kind: "PartialObjectMetadata",
        apiVersion: `meta.k8s.io/${options.version}`,
        metadata: object.metadata,
      };
  }
}

/** One row. */
export function rowOf(resource: CatalogResource, object: ApiObject, options: TableOptions): JsonObject {
  const cellsOf = resource.table?.cellsOf ?? CELLS[keyOf(resource)];
  const name = object.metadata["name"] ?? "";
  const cells: readonly Json[] =
    cellsOf === undefined ? [name, object.metadata["creationTimestamp"] ?? null] : cellsOf(object, options.now);
  return { cells, object: included(object, options) ?? null };
}

/** The table of `objects` that kubectl prints. */
export function tableOf(resource: CatalogResource, objects: readonly ApiObject[], options: TableOptions): JsonObject {
  return {
    kind: "Table",
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: options.metadata,
    columnDefinitions: options.hasHeader ? (definitions(resource) as unknown as Json) : null,
    rows: objects.map((object) => rowOf(resource, object, options)),
  };
}
