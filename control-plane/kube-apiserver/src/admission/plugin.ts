import type { AdmissionAttributes, AdmissionOperation } from "../registry/registry.ts";

/** What part of the API a plugin looks at. */
export interface AdmissionScope {
  readonly operations: readonly AdmissionOperation[];
  /** `GROUP/RESOURCE[/SUBRESOURCE]`; absent: everything. */
  readonly resources?: readonly string[];
}

/** One rule about requests that the objects' own validation cannot know. */
export interface AdmissionPlugin {
  readonly name: string;
  readonly scope: AdmissionScope;
  /** Changes `attributes.object` in place, or throws a StatusError to refuse. */
  admit?(attributes: AdmissionAttributes): Promise<void> | void;
  /** Looks at what all others made of it. */
  validate?(attributes: AdmissionAttributes): Promise<void> | void;
}

/** `GROUP/RESOURCE[/SUBRESOURCE]` of a request. */
export function resourceOf(attributes: AdmissionAttributes): string {
  const base = `${attributes.group}/${attributes.resource}`;
  return attributes.subresource === "" ? base : `${base}/${attributes.subresource}`;
}
