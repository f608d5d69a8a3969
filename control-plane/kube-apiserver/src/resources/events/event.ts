import type { Event } from "@coracle/api/events/v1";
import { equalJson, invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Subdomain, qualifiedName } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";

const MAX_TEXT = 128;
const MAX_NOTE = 1024;

function bounded(errors: FieldError[], path: string, value: string, isRequired: boolean): void {
  if (value === "" && isRequired) errors.push(required(path));
  if (value.length > MAX_TEXT) errors.push(invalidValue(path, "", `can have at most ${MAX_TEXT} characters`));
}

function validateSeries(errors: FieldError[], { series }: Decoded<Event>): void {
  if (series === undefined) return;
  if ((series.count ?? 0) < 2) errors.push(invalidValue("series.count", "", "should be at least 2"));
  if (text(series.lastObservedTime) === "") errors.push(required("series.lastObservedTime"));
}

/** What an event of this group says; one without its time is of the old group, and stored with less. */
function validateSource(errors: FieldError[], event: Decoded<Event>): void {
  if (text(event.eventTime) === "") return;
  const controller = text(event.reportingController);
  if (controller === "") errors.push(required("reportingController"));
  pushInvalid(errors, "reportingController", controller, qualifiedName(controller));
  bounded(errors, "reportingInstance", text(event.reportingInstance), true);
  bounded(errors, "action", text(event.action), true);
  bounded(errors, "reason", text(event.reason), true);
  if (text(event.note).length > MAX_NOTE)
    errors.push(invalidValue("message", "", `can have at most ${MAX_NOTE} characters`));
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const event = as<Event>(object);
  const about = text(event.regarding?.namespace);
  const own = text(event.metadata?.namespace);
  const isMatch =
    text(event.eventTime) === "" && about !== ""
      ? about === own
      : about !== "" || own === "default" || own === (text(event.eventTime) === "" ? "" : "kube-system");
  if (!isMatch) errors.push(invalidValue("involvedObject.namespace", about, "does not match event.namespace"));
  validateSource(errors, event);
  return errors;
}

/** What clients of this group must say. */
function validateNew(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const event = as<Event>(object);
  validateSeries(errors, event);
  if (text(event.eventTime) === "") errors.push(required("eventTime"));
  if (text(event.type) !== "Normal" && text(event.type) !== "Warning")
    errors.push(invalidValue("type", "", `has invalid value: ${text(event.type)}`));
  for (const [field, path] of [
    ["deprecatedFirstTimestamp", "firstTimestamp"],
    ["deprecatedLastTimestamp", "lastTimestamp"],
    ["deprecatedCount", "count"],
  ] as const)
    if ((event[field] ?? 0) !== 0) errors.push(invalidValue(path, "", "needs to be unset"));
  const { component, host } = event.deprecatedSource ?? {};
  if (text(component) !== "" || text(host) !== "") errors.push(invalidValue("source", "", "needs to be unset"));
  return errors;
}

const FROZEN: readonly (readonly [keyof Event, string])[] = [
  ["regarding", "involvedObject"],
  ["reason", "reason"],
  ["note", "message"],
  ["deprecatedSource", "source"],
  ["deprecatedFirstTimestamp", "firstTimestamp"],
  ["deprecatedLastTimestamp", "lastTimestamp"],
  ["deprecatedCount", "count"],
  ["reason", "reason"],
  ["type", "type"],
  ["eventTime", "eventTime"],
  ["action", "action"],
  ["related", "related"],
  ["reportingController", "reportingController"],
  ["reportingInstance", "reportingInstance"],
];

/** What was never set is null or empty in one version of the API and absent in the other. */
const presentOf = (value: unknown): unknown => (value === null || value === "" ? undefined : value);

export const eventsEvent: ResourceDefinition = {
  group: "events.k8s.io",
  version: "v1",
  plural: "events",
  kind: "Event",
  validateName: (name, isPrefix) => dns1123Subdomain(isPrefix && name.endsWith("-") ? `${name.slice(0, -1)}a` : name),
  metadataOrder: "afterRules",
  validate,
  validateNew,
  update: {
    validate(object, old) {
      const errors: FieldError[] = [];
      if (!equalJson(object["series"], old["series"])) validateSeries(errors, as<Event>(object));
      for (const [field, path] of FROZEN)
        validateImmutable(
          errors,
          path,
          presentOf(object[field]),
          presentOf(old[field]),
          field === "eventTime" ? null : "",
        );
      return errors;
    },
  },
  allowCreateOnUpdate: true,
  defaultPropagation: "Unsupported",
  selectableFields: {
    "regarding.kind": (o) => text(as<Event>(o).regarding?.kind),
    "regarding.namespace": (o) => text(as<Event>(o).regarding?.namespace),
    "regarding.name": (o) => text(as<Event>(o).regarding?.name),
    "regarding.uid": (o) => text(as<Event>(o).regarding?.uid),
    reason: (o) => text(as<Event>(o).reason),
    reportingController: (o) => text(as<Event>(o).reportingController),
    type: (o) => text(as<Event>(o).type),
  },
};
