import type { Clock, Logger, Random } from "@coracle/base";
import type { Draft, InVersion, Json } from "@coracle/apimachinery";
import type { ObjectStorage, StoredObject } from "../storage/object-storage.ts";
import type { AdmissionChain, AdmissionOperation, Answer, RequestContext, AdmissionVersions } from "./registry.ts";
import type { ResourceEntry, TypeName } from "./resource-catalog.ts";
import type { ApiDraft, ApiObject, ResourceDefinition, StrategyContext } from "./resource-definition.ts";
import type { SchemaPort } from "./schema-port.ts";

/** Something taken for a write (an address, a port), that is kept when the write is stored and given back otherwise. */
export interface Reservation {
  /** The write is stored. Does not fail. */
  commit(): Promise<void> | void;
  release(): Promise<void> | void;
}

/** What a kind does beside the object itself when it is written. */
export interface WriteHooks {
  /** After `prepare`, before validation; may change the draft. `old`: undefined at create. */
  reserve?(draft: ApiDraft, old: ApiObject | undefined, isDryRun: boolean): Promise<Reservation | undefined>;
  /** The object is gone. */
  deleted?(object: ApiObject): Promise<void> | void;
}

/** All that the verbs on one resource share. */
export interface ResourceCore {
  readonly entry: ResourceEntry;
  readonly definition: ResourceDefinition;
  readonly storage: ObjectStorage;
  readonly schema: SchemaPort;
  readonly admission: AdmissionChain;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Whether `metadata.generation` counts changes of the kind's wishes. */
  readonly hasGeneration: boolean;
  readonly hooks: WriteHooks;
  /** Seconds objects live, for events. */
  readonly ttlSeconds: number | undefined;
  /** Items of lists say their type, each: custom resources. */
  readonly keepsItemTypes?: boolean;
  /** The resource's other versions. Absent: those that the API tables know. */
  readonly versions?: AdmissionVersions | undefined;
  /** What fields are called where they are owned in another version. Absent: the same. */
  readonly inVersion?: InVersion | undefined;
  /** Waits until everything up to a revision can be read; false when it took too long. */
  waitForRevision(revision: number): Promise<boolean>;
  /** Of a store with other writers: waits until everything that is committed now can be read. */
  readonly freshen?: (() => Promise<void>) | undefined;
}

/** Names the resource in errors. */
export const resourceOf = (core: ResourceCore): { readonly group: string; readonly resource: string } => ({
  group: core.entry.group,
  resource: core.entry.plural,
});

/** `GROUP/VERSION` of the resource. */
export const apiVersionOfCore = ({ entry }: ResourceCore): string =>
  entry.group === "" ? entry.version : `${entry.group}/${entry.version}`;

/** What strategies are told of a request. */
export function strategyContext(
  core: ResourceCore,
  context: RequestContext,
  namespace: string,
  isDryRun: boolean,
): StrategyContext {
  return {
    clock: core.clock,
    random: core.random,
    user: context.user,
    isDryRun,
    namespace,
    warnings: context.warnings,
  };
}

/** Arguments of one admission call. */
export interface AdmissionCall {
  readonly operation: AdmissionOperation;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly object: ApiDraft | undefined;
  readonly isUnnamed?: boolean;
  readonly oldObject: ApiObject | undefined;
  readonly options: Json | undefined;
  readonly isDryRun: boolean;
  /** Of another kind than the resource's (Scale, Binding, Eviction). */
  readonly kind?: string;
  readonly context: RequestContext;
}

/** Runs the mutating or the validating half of admission; waits only where a plugin does. */
export function admit(core: ResourceCore, half: "admit" | "validate", call: AdmissionCall): void | Promise<void> {
  const { group, version, plural, kind } = core.entry;
  // Named one by one: two objects spread into one cost as much as many a plugin.
  return core.admission[half]({
    operation: call.operation,
    group,
    version,
    resource: plural,
    kind: call.kind ?? kind,
    subresource: call.subresource,
    namespace: call.namespace,
    name: call.name,
    object: call.object,
    isUnnamed: call.isUnnamed ?? false,
    oldObject: call.oldObject,
    options: call.options,
    isDryRun: call.isDryRun,
    context: call.context,
    reading: core,
  });
}

/** Events of both groups are one kind where they are refused. */
export const kindInErrors = ({ group, kind }: TypeName): { readonly group: string; readonly kind: string } => ({
  group: group === "events.k8s.io" ? "" : group,
  kind,
});

/** Adds warnings for the Warning header, each once. */
export function warn(context: RequestContext, texts: readonly string[] | undefined): void {
  for (const text of texts ?? []) if (!context.warnings.includes(text)) context.warnings.push(text);
}

/** The answer for an object that was stored. */
export const answerStored = (stored: StoredObject, created = false): Answer => ({ type: "stored", stored, created });

/** The answer for an object that was not. */
export const answerObject = (object: ApiObject | Draft, created = false): Answer => ({
  type: "object",
  object: object as ApiObject,
  created,
});
