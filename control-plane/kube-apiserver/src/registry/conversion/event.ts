import type { Draft } from "@coracle/apimachinery";
import type { Conversion } from "../../storage/converted-storage.ts";
import type { ApiDraft, ApiObject } from "../resource-definition.ts";

/** Member of core/v1 Event → member of events.k8s.io/v1 Event; all others have the same name. */
const NAMES: Readonly<Record<string, string>> = {
  involvedObject: "regarding",
  message: "note",
  source: "deprecatedSource",
  firstTimestamp: "deprecatedFirstTimestamp",
  lastTimestamp: "deprecatedLastTimestamp",
  count: "deprecatedCount",
  reportingComponent: "reportingController",
};
/** What core/v1 shows empty and events.k8s.io/v1 not at all. */
const SHOWN_WHEN_SAID = ["reportingController", "reportingInstance"] as const;
const BACK = Object.fromEntries(Object.entries(NAMES).map(([core, events]) => [events, core]));

function rename(object: ApiObject | ApiDraft, names: Readonly<Record<string, string>>): ApiDraft {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [names[name] ?? name, value])) as ApiDraft;
}

/** events.k8s.io/v1 over core/v1, which both are stored as. */
export const eventConversion: Conversion = {
  fromStored(object) {
    const event: Draft = { ...rename(object, NAMES), apiVersion: "events.k8s.io/v1" };
    for (const member of SHOWN_WHEN_SAID) if (event[member] === "") delete event[member];
    return event as unknown as ApiObject;
  },
  toStored: (draft) => ({
    // What core/v1 always shows.
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    eventTime: null,
    reportingComponent: "",
    reportingInstance: "",
    ...rename(draft, BACK),
    apiVersion: "v1",
  }),
};
