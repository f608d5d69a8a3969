import {
  parseFieldSelector,
  parseLabelSelector,
  statusError,
  type Labels,
  type StatusError,
} from "@coracle/apimachinery";
import { textOf } from "../registry/json-text.ts";
import type { ListAnswer, ListQuery } from "../registry/registry.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { StoredObject } from "../storage/object-storage.ts";

/** The list of objects that are made when asked for: those that the selectors want, of no version. */
export function listComputed(objects: readonly ApiObject[], query: ListQuery): ListAnswer {
  const labels = parseLabelSelector(query.labelSelector ?? "");
  const fields = parseFieldSelector(query.fieldSelector ?? "");
  const wanted = objects.filter(
    ({ metadata }) =>
      labels.matches(metadata["labels"] as Labels | undefined) &&
      fields.requirements.every(
        ({ field, operator, value }) =>
          field !== "metadata.name" || (metadata["name"] === value) === (operator === "="),
      ),
  );
  return { items: wanted.map(asStored), revision: 0, metadata: {} as ListAnswer["metadata"] };
}

function asStored(object: ApiObject): StoredObject {
  const stored: StoredObject = {
    key: "",
    namespace: "",
    name: textOf(object.metadata["name"]),
    object,
    revision: 0,
    json: Buffer.from(JSON.stringify(object)),
    encoded: (_, make) => make(stored),
  };
  return stored;
}

/** What is made when asked for cannot be watched. */
export const notWatched = (resource: string): StatusError =>
  statusError("MethodNotAllowed", `watch is not supported on resources of kind "${resource}"`, { kind: resource });
