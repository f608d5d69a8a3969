import type { Event } from "@coracle/api/core/v1";
import { invalidValue, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";

/** Events are about an object of their own namespace; those about cluster objects are in `default`. */
function validateEventNamespace(errors: FieldError[], path: string, about: string | undefined, own: string): void {
  const namespace = text(about);
  if (namespace === "" ? own !== "default" && own !== "kube-system" : namespace !== own)
    errors.push(invalidValue(path, namespace, "does not match event.namespace"));
}

export const event: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "events",
  kind: "Event",
  // Names of events are free: clients make them up of other names.
  validateName: () => [],
  metadataOrder: "alone",
  validate(object) {
    const errors: FieldError[] = [];
    const event = as<Event>(object);
    validateEventNamespace(
      errors,
      "involvedObject.namespace",
      event.involvedObject?.namespace,
      text(event.metadata?.namespace),
    );
    return errors;
  },
  allowCreateOnUpdate: true,
  defaultPropagation: "Unsupported",
  selectableFields: {
    "involvedObject.kind": (o) => text(as<Event>(o).involvedObject?.kind),
    "involvedObject.namespace": (o) => text(as<Event>(o).involvedObject?.namespace),
    "involvedObject.name": (o) => text(as<Event>(o).involvedObject?.name),
    "involvedObject.uid": (o) => text(as<Event>(o).involvedObject?.uid),
    "involvedObject.apiVersion": (o) => text(as<Event>(o).involvedObject?.apiVersion),
    "involvedObject.resourceVersion": (o) => text(as<Event>(o).involvedObject?.resourceVersion),
    "involvedObject.fieldPath": (o) => text(as<Event>(o).involvedObject?.fieldPath),
    reason: (o) => text(as<Event>(o).reason),
    reportingComponent: (o) => text(as<Event>(o).reportingComponent) || text(as<Event>(o).source?.component),
    source: (o) => text(as<Event>(o).source?.component) || text(as<Event>(o).reportingComponent),
    type: (o) => text(as<Event>(o).type),
  },
};
