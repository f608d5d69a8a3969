import type { ManagedFieldsEntry } from "@coracle/api/meta/v1";
import { equalJson, isObject, type Draft } from "../json/json.ts";
import { compareObjects, fieldSetOf, type Comparison } from "./compare.ts";
import {
  equalSets,
  intersectSets,
  isEmptySet,
  isSubset,
  parseFieldSet,
  pathsOf,
  subtractSet,
  uniteSets,
  type FieldSet,
} from "./field-set.ts";
import { sharedSet } from "./shared-sets.ts";
import type { MergeType } from "./merge-type.ts";
import { mergeConfig, removePaths, withNamedParents } from "./merge.ts";

/** Most managers that `Update` may leave on one object; what older ones own is gathered under one name. */
export const MAX_UPDATE_MANAGERS = 10;
const OLD_UPDATES = "ancient-changes";
/** Who owns what an object held before its first apply. */
const BEFORE_FIRST_APPLY = "before-first-apply";

/** One manager and what it owns. Not changed in place. */
export interface ManagedFields {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  /** RFC 3339, whole seconds; undefined: unknown. */
  readonly time: string | undefined;
  readonly fields: FieldSet;
}

/** Who writes, how and when. */
export interface Writer {
  readonly manager: string;
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string;
}

/** A version of a kind whose names for fields are others. */
export interface FieldVersion {
  readonly type: MergeType;
  /** An object of the writer's version in this one. The object is not changed. */
  convert(object: Draft): Draft;
}

/** What fields are called in another version; undefined: as in the writer's; `gone`: no object can be seen in it. */
export type InVersion = (apiVersion: string) => FieldVersion | "gone" | undefined;

/** Reads `metadata.managedFields`. Throws an Error when a client sent what is none. */
export function readManagedFields(entries: unknown): readonly ManagedFields[] {
  if (!Array.isArray(entries)) return [];
  return entries.map((entry: unknown) => readEntry(entry));
}

function readEntry(entry: unknown): ManagedFields {
  if (!isObject(entry)) throw new Error("an entry must be an object");
  const { manager = "", operation, apiVersion = "", subresource = "", time, fieldsType } = entry as ManagedFieldsEntry;
  if (operation !== "Apply" && operation !== "Update") throw new Error("operation must be `Apply` or `Update`");
  if (apiVersion === "") throw new Error("apiVersion must not be empty");
  if (fieldsType !== "FieldsV1") throw new Error(`invalid fieldsType ${JSON.stringify(fieldsType ?? "")}`);
  return { manager, operation, apiVersion, subresource, time, fields: parseFieldSet(entry["fieldsV1"] ?? {}) };
}

/** The same for what this server stored: nothing is checked or copied. */
export function storedManagedFields(entries: unknown): readonly ManagedFields[] {
  if (!Array.isArray(entries)) return [];
  return (entries as readonly ManagedFieldsEntry[]).map((entry) => ({
    manager: entry.manager ?? "",
    operation: entry.operation === "Apply" ? "Apply" : "Update",
    apiVersion: entry.apiVersion ?? "",
    subresource: entry.subresource ?? "",
    time: entry.time,
    fields: (entry.fieldsV1 ?? {}) as FieldSet,
  }));
}

/** Writes `metadata.managedFields`, in the order that readers expect; undefined when no one owns anything. */
export function writeManagedFields(all: readonly ManagedFields[]): ManagedFieldsEntry[] | undefined {
  if (all.length === 0) return undefined;
  const sorted = all.length === 1 ? all : all.toSorted(byOperationAndTime);
  return sorted.map((entry) => writeEntry(entry));
}

function writeEntry({ manager, operation, apiVersion, time, fields, subresource }: ManagedFields): ManagedFieldsEntry {
  const fieldsV1 = sharedSet(fields) as ManagedFieldsEntry["fieldsV1"];
  // The usual form, without copies on the way: every write has some.
  if (manager !== "" && time !== undefined && subresource === "")
    return { manager, operation, apiVersion, time, fieldsType: "FieldsV1", fieldsV1 };
  return {
    ...(manager === "" ? {} : { manager }),
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: "FieldsV1",
    fieldsV1,
    ...(subresource === "" ? {} : { subresource }),
  };
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function byOperationAndTime(a: ManagedFields, b: ManagedFields): number {
  return compareText(a.operation, b.operation) || byTime(a, b);
}

function byTime(a: ManagedFields, b: ManagedFields): number {
  return (
    compareText(a.time ?? "", b.time ?? "") ||
    compareText(a.manager, b.manager) ||
    compareText(a.apiVersion, b.apiVersion) ||
    compareText(a.subresource, b.subresource)
  );
}

/** Whether both entries are of the same writer: of appliers the version does not count. */
function isSameManager(a: Omit<ManagedFields, "time" | "fields">, b: ManagedFields): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    a.subresource === b.subresource &&
    (a.operation === "Apply" || a.apiVersion === b.apiVersion)
  );
}

/**
 * Who owns what after a plain write: the writer owns what it changed, no one owns what is gone. `before` and `after`
 * are without what is not tracked.
 */
export function trackUpdate(
  type: MergeType,
  before: unknown,
  after: unknown,
  all: readonly ManagedFields[],
  writer: Writer,
  inVersion?: InVersion,
): readonly ManagedFields[] {
  const difference = compareObjects(type, before, after);
  const { changed, removed } = difference;
  const differenceFor = differences(difference, before as Draft, after as Draft, writer.apiVersion, inVersion);
  if (isEmptySet(changed)) return settleOthers(all, difference, differenceFor);
  const own = { ...writer, operation: "Update" } as const;
  const last = all.find((entry) => isSameManager(own, entry));
  // Whoever writes what it wrote before owns what it owned: the usual case.
  const isAgain = last !== undefined && isEmptySet(removed) && isSubset(changed, last.fields);
  const rest = settleOthers(all, difference, differenceFor, isAgain ? last : undefined);
  const at = rest.findIndex((entry) => isSameManager(own, entry));
  const known = rest[at];
  if (known === undefined) return capUpdateManagers([...rest, { ...own, fields: changed }]);
  return rest.with(at, { ...own, fields: isAgain ? known.fields : uniteSets(changed, known.fields) });
}

/** How the object changed, in the names of an owner's version; undefined: of its fields nothing is known any longer. */
type DifferenceFor = (owner: ManagedFields) => Comparison | undefined;

/** `own`: in the writer's version. Others are made when an owner is of another that has names of its own. */
function differences(
  own: Comparison,
  before: Draft,
  after: Draft,
  apiVersion: string,
  inVersion: InVersion | undefined,
): DifferenceFor {
  if (inVersion === undefined) return () => own;
  const known = new Map<string, Comparison | undefined>([[apiVersion, own]]);
  const compareIn = (version: FieldVersion | "gone" | undefined): Comparison | undefined => {
    if (version === undefined) return own;
    return version === "gone"
      ? undefined
      : compareObjects(version.type, version.convert(before), version.convert(after));
  };
  return (owner) => {
    if (!known.has(owner.apiVersion)) known.set(owner.apiVersion, compareIn(inVersion(owner.apiVersion)));
    return known.get(owner.apiVersion);
  };
}

/** Takes what changed or is gone from all owners but `writer`. */
function settleOthers(
  all: readonly ManagedFields[],
  own: Comparison,
  differenceFor: DifferenceFor,
  writer?: ManagedFields,
): readonly ManagedFields[] {
  if (all.length === 0 || (isEmptySet(own.changed) && isEmptySet(own.removed))) return all;
  const out: ManagedFields[] = [];
  let last: Comparison | undefined;
  let gone: FieldSet = {};
  for (const entry of all) {
    if (entry !== writer) {
      const difference = differenceFor(entry);
      if (difference === undefined) continue;
      if (difference !== last) gone = uniteSets(difference.changed, difference.removed);
      last = difference;
    }
    const fields = entry === writer ? entry.fields : subtractSet(entry.fields, gone);
    if (!isEmptySet(fields)) out.push(fields === entry.fields ? entry : { ...entry, fields });
  }
  return out;
}

/** Gathers the oldest updaters under one name for each version, until few enough are left. */
function capUpdateManagers(all: readonly ManagedFields[]): readonly ManagedFields[] {
  const updaters = all.filter((entry) => entry.operation === "Update").sort(byTime);
  let surplus = updaters.length - MAX_UPDATE_MANAGERS;
  if (surplus <= 0) return all;
  let out = [...all];
  const firsts = new Map<string, ManagedFields>();
  for (const entry of updaters) {
    if (surplus <= 0) break;
    const { apiVersion } = entry;
    const bucket = { manager: OLD_UPDATES, operation: "Update", apiVersion, subresource: "" } as const;
    const first = firsts.get(apiVersion);
    if (first === undefined) {
      firsts.set(apiVersion, entry);
      continue;
    }
    const known = out.find((other) => isSameManager(bucket, other)) ?? first;
    const fields = uniteSets(entry.fields, known.fields);
    out = out.filter((other) => other !== entry && other !== known);
    const merged = { ...bucket, time: entry.time, fields };
    out.push(merged);
    firsts.set(apiVersion, merged);
    surplus--;
  }
  return out;
}

/** One field that a configuration sets and another manager owns. */
export interface ApplyConflict {
  readonly owner: ManagedFields;
  readonly path: string;
}

/** The manager as messages name it: `"kubectl" using apps/v1`. */
export function textOfManager({ manager, operation, apiVersion, subresource }: ManagedFields): string {
  const name = JSON.stringify(manager) + (subresource === "" ? "" : ` with subresource ${JSON.stringify(subresource)}`);
  return operation === "Update" ? `${name} using ${apiVersion}` : name;
}

/** What applying comes to. */
export type Applied =
  | {
      readonly type: "applied";
      /** The new object, its defaults not set; undefined: it is as it was. */
      readonly object: Draft | undefined;
      readonly managers: readonly ManagedFields[];
    }
  | { readonly type: "conflict"; readonly conflicts: readonly ApplyConflict[] };

/** One apply. */
export interface ApplyRequest {
  readonly type: MergeType;
  /** What is there; with a fresh object: the kind's empty one. Without `managedFields`. */
  readonly live: Draft;
  /** What the applier wants, checked by `checkConfig`. */
  readonly config: Draft;
  readonly managers: readonly ManagedFields[];
  readonly writer: Writer;
  readonly force: boolean;
  /** Leaves out what is not tracked. */
  readonly tracked: (object: Draft) => Draft;
  readonly inVersion?: InVersion | undefined;
}

/** Every object has metadata: that it has them is no one's. */
const NO_ONES: FieldSet = { "f:metadata": {} };

/** Whose conflicts an apply may ignore. */
export type MayTake = (fields: FieldSet) => FieldSet;

/** Lays a configuration over the object: what the applier set before and no longer does goes, unless others own it. */
export function applyConfig(request: ApplyRequest, mayTake?: MayTake): Applied {
  const { type, live, config, writer, force, tracked } = request;
  const wanted = subtractSet(fieldSetOf(type, tracked(config)), NO_ONES);
  const own = { ...writer, operation: "Apply", fields: wanted } as const;
  const previous = request.managers.find((entry) => isSameManager(own, entry));
  const others = request.managers.filter((entry) => entry !== previous);
  const merged = mergeConfig(type, live, config) as Draft;
  const set = fieldSetOf(type, config);
  const isAllKept = previous === undefined || isSubset(previous.fields, set);
  const object = isAllKept
    ? merged
    : prune(type, merged, previous.fields, [set, ...others.map(({ fields }) => fields)]);
  const [before, after] = [tracked(live), tracked(object)];
  const difference = compareObjects(type, before, after);
  const differenceFor = differences(difference, before, after, writer.apiVersion, request.inVersion);
  if (!force) {
    const conflicts = findConflicts(others, differenceFor, mayTake);
    if (conflicts.length > 0) return { type: "conflict", conflicts };
  }
  const rest = settleOthers(others, difference, differenceFor);
  // What was removed with a parent is no longer the applier's either.
  const fields = subtractSet(own.fields, difference.removed);
  const isSame = equalJson(live, object);
  const ownsTheSame = previous !== undefined && equalSets(previous.fields, fields);
  // The time is of the last change of the object: who takes fields over as they are has made none.
  const time = isSame ? previous?.time : own.time;
  const now = { ...own, time, fields: ownsTheSame ? previous.fields : fields };
  const entry = isSame && ownsTheSame && previous.apiVersion === own.apiVersion ? previous : now;
  return {
    type: "applied",
    object: isSame ? undefined : object,
    managers: isEmptySet(fields) ? rest : [...rest, entry],
  };
}

function findConflicts(
  others: readonly ManagedFields[],
  differenceFor: DifferenceFor,
  mayTake: MayTake | undefined,
): ApplyConflict[] {
  const out: ApplyConflict[] = [];
  for (const owner of others.toSorted((a, b) => compareText(a.manager, b.manager) || byOperationAndTime(a, b))) {
    const taken = intersectSets(owner.fields, differenceFor(owner)?.changed ?? {});
    const refused = mayTake === undefined ? taken : subtractSet(taken, mayTake(taken));
    // Not all at once: they can be more than a call takes arguments.
    for (const path of pathsOf(refused)) out.push({ owner, path });
  }
  return out;
}

/** Removes what the applier owned and does not want any longer, unless it is in one of the kept sets. */
function prune(type: MergeType, merged: Draft, last: FieldSet, kept: readonly FieldSet[]): Draft {
  const full = (set: FieldSet): FieldSet => withNamedParents(type, set);
  const setOf = (value: unknown): FieldSet => full(fieldSetOf(type, value));
  const lastFull = full(last);
  const mergedSet = setOf(merged);
  let owned: FieldSet = {};
  for (const set of kept) owned = uniteSets(owned, set);

  const without = removePaths(type, merged, lastFull);
  const stays = uniteSets(setOf(without ?? {}), full(owned));
  const backed = removePaths(type, merged, subtractSet(mergedSet, stays));
  // What was removed with its parent only, and was never the applier's, stays.
  const dangling = intersectSets(subtractSet(mergedSet, setOf(backed ?? {})), lastFull);
  return (removePaths(type, merged, dangling) ?? {}) as Draft;
}

/** Gives what an object without owners holds to one name, so that a first apply finds it owned. */
export function ownBeforeFirstApply(
  type: MergeType,
  zero: unknown,
  live: unknown,
  writer: Omit<Writer, "manager">,
): readonly ManagedFields[] {
  return trackUpdate(type, zero, live, [], { ...writer, manager: BEFORE_FIRST_APPLY });
}
