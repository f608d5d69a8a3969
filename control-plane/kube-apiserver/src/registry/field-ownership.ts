import {
  applyConfig,
  compareObjects,
  DEDUCED,
  equalJson,
  fieldSetOf,
  intersectSets,
  isObject,
  ownBeforeFirstApply,
  readManagedFields,
  statusError,
  storedManagedFields,
  subtractSet,
  textOfManager,
  trackUpdate,
  uniteSets,
  writeManagedFields,
  type ApplyConflict,
  type Draft,
  type FieldSet,
  type ManagedFields,
  type MergeType,
  type StatusError,
} from "@coracle/apimachinery";
import { withoutManagedFields } from "./decode.ts";
import { settleEmptyLists } from "./empty-lists.ts";
import { formatTime } from "./object-meta.ts";
import { resetFieldsOf } from "./reset-fields.ts";
import { apiVersionOfCore, type ResourceCore } from "./resource-core.ts";
import type { ApiDraft, ApiObject } from "./resource-definition.ts";

/** kubectl's record of what it applied by itself. */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const KUBECTL = "kubectl";

/** Members of the metadata that no one owns: the server decides them, or they name the object. */
const UNOWNED_META: ReadonlySet<string> = new Set([
  "name",
  "namespace",
  "creationTimestamp",
  "selfLink",
  "uid",
  "generation",
  "managedFields",
  "resourceVersion",
]);

interface KindFields {
  readonly type: MergeType;
  /** An object of the kind that no one has set anything of. */
  readonly zero: Draft;
}

const kinds = new WeakMap<ResourceCore, KindFields>();

function fieldsOf(core: ResourceCore): KindFields {
  const known = kinds.get(core);
  if (known !== undefined) return known;
  const type = core.schema.mergeType?.(core.entry);
  const zero = type === undefined ? {} : withoutDefaults(core.schema.decode(core.entry, {}).object);
  const fields = { type: type ?? DEDUCED, zero };
  kinds.set(core, fields);
  return fields;
}

/** The members that say nothing, without those that the schema gives a value. */
function withoutDefaults(zero: Draft): Draft {
  const out: Draft = {};
  for (const [key, value] of Object.entries(zero)) {
    if (isObject(value)) out[key] = withoutDefaults(value);
    else if (value === null || value === "" || value === 0 || value === false) out[key] = value;
  }
  return out;
}

/** A view of the object without what is not tracked on this way of writing. */
function trackedPart(core: ResourceCore, subresource: string, object: Draft): Draft {
  const resets = resetFieldsOf(core.entry, subresource);
  const out: Draft = {};
  for (const member in object) {
    if (member === "metadata") out.metadata = trackedMeta(object.metadata as Draft, resets);
    else if (member !== "apiVersion" && member !== "kind" && !resets.includes(member)) out[member] = object[member];
  }
  out.metadata ??= {};
  return out;
}

function trackedMeta(metadata: Draft, resets: readonly string[]): Draft {
  const out: Draft = {};
  if (resets.includes("metadata")) return out;
  for (const member in metadata) {
    if (UNOWNED_META.has(member) || (resets.length > 1 && resets.includes(`metadata.${member}`))) continue;
    out[member] = metadata[member];
  }
  return out;
}

const isReset = (entries: unknown): boolean =>
  Array.isArray(entries) && entries.length === 1 && isObject(entries[0]) && Object.keys(entries[0]).length === 0;

/** Who owns what before the write: as the request says, if it says something sound, else as the stored object does. */
function managersBefore(sent: unknown, old: ApiObject | undefined, subresource: string): readonly ManagedFields[] {
  const stored = old?.metadata.managedFields;
  if (subresource === "" && sent !== undefined && !equalJson(sent, stored)) {
    if (isReset(sent)) return [];
    try {
      const read = readManagedFields(sent);
      if (read.length > 0) return read;
    } catch {
      // What cannot be read is as if it had not been sent.
    }
  }
  return storedManagedFields(stored);
}

/**
 * Records in the draft who owns what after a create or an update, before admission: what the server itself adds is
 * owned by no one. `untouched`: members of `old` that the write leaves as they are. Objects that no one owns anything of (the owner of all was reset) are not tracked.
 */
export function trackWrite(
  core: ResourceCore,
  draft: ApiDraft,
  old: ApiObject | undefined,
  write: { readonly manager: string; readonly subresource: string },
  untouched: Draft = {},
): void {
  recordOwners(core, draft, old, write, untouched);
  settleEmptyLists(core.entry, draft);
}

function recordOwners(
  core: ResourceCore,
  draft: ApiDraft,
  old: ApiObject | undefined,
  write: { readonly manager: string; readonly subresource: string },
  untouched: Draft,
): void {
  const before = managersBefore(draft.metadata.managedFields, old, write.subresource);
  delete draft.metadata.managedFields;
  if (before.length === 0 && old !== undefined) return;
  const { type, zero } = fieldsOf(core);
  const part = (object: Draft): Draft => trackedPart(core, write.subresource, object);
  const writer = { ...write, apiVersion: apiVersionOfCore(core), time: formatTime(core.clock.now()) };
  const now = part(draft);
  for (const member in untouched) if (now[member] !== undefined) now[member] = untouched[member];
  const after = trackUpdate(type, part(old ?? zero), now, before, writer, core.inVersion);
  const entries = writeManagedFields(write.subresource === "scale" ? withOldTimes(after, before) : after);
  if (entries !== undefined) draft.metadata.managedFields = entries;
}

/** Who scales is not recorded with a time of its own. */
function withOldTimes(after: readonly ManagedFields[], before: readonly ManagedFields[]): readonly ManagedFields[] {
  return after.map((entry) => {
    if (entry.subresource !== "scale") return entry;
    const same = before.find(
      (other) =>
        other.manager === entry.manager && other.operation === entry.operation && other.subresource === "scale",
    );
    return { ...entry, time: same?.time };
  });
}

/** One server-side apply to an object of the resource. */
export interface ApplyWrite {
  readonly manager: string;
  readonly subresource: string;
  readonly force: boolean;
}

/**
 * The object that applying `config` makes, with its owners; its defaults are not set. `old`: undefined when there is
 * none. Throws 409 with every conflict.
 */
export function applyTo(core: ResourceCore, old: ApiObject | undefined, config: Draft, write: ApplyWrite): Draft {
  const { type, zero } = fieldsOf(core);
  const { manager, subresource, force } = write;
  const time = formatTime(core.clock.now());
  const writer = { manager, subresource, apiVersion: apiVersionOfCore(core), time };
  const tracked = (object: Draft): Draft => trackedPart(core, subresource, object);
  const live = old === undefined ? zero : (withoutManagedFields(old) as Draft);
  let managers = storedManagedFields(old?.metadata.managedFields);
  if (managers.length === 0 && old !== undefined) {
    managers = ownBeforeFirstApply(type, tracked(zero), tracked(live), writer);
  }
  const mayTake = manager === KUBECTL ? lastAppliedFields(core, type, live) : undefined;
  const request = { type, live, config, managers, writer, tracked, inVersion: core.inVersion };
  const applied = applyConfig(
    { ...request, force },
    mayTake === undefined ? undefined : (fields) => intersectSets(fields, mayTake),
  );
  if (applied.type === "conflict")
    throw applyConflict(subresource === "scale" ? applied.conflicts.map(asOfScale) : applied.conflicts);
  const object = { ...(applied.object ?? live) };
  const metadata = { ...(object.metadata as Draft | undefined) };
  object.metadata = metadata;
  if (manager === KUBECTL) renewLastApplied(metadata, config);
  const entries = writeManagedFields(
    subresource === "scale" ? withOldTimes(applied.managers, managers) : applied.managers,
  );
  if (entries !== undefined) metadata.managedFields = entries;
  return object;
}

const annotationsOf = (metadata: unknown): Draft | undefined =>
  isObject(metadata) && isObject(metadata.annotations) ? metadata.annotations : undefined;

/** What kubectl applied by itself and still is so: kubectl may go on with it, on the server. */
function lastAppliedFields(core: ResourceCore, type: MergeType, live: Draft): FieldSet | undefined {
  const text = annotationsOf(live.metadata)?.[LAST_APPLIED];
  if (typeof text !== "string") return undefined;
  let last: unknown;
  try {
    last = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(last) || last.apiVersion !== apiVersionOfCore(core)) return undefined;
  const { changed, removed } = compareObjects(type, live, last);
  return subtractSet(fieldSetOf(type, last), uniteSets(changed, removed));
}

/** Keeps kubectl's record in step with what it now applies on the server. */
function renewLastApplied(metadata: Draft, config: Draft): void {
  const annotations = annotationsOf(metadata);
  if (annotations?.[LAST_APPLIED] === undefined) return;
  const own = { ...(isObject(config.metadata) ? config.metadata : {}) };
  const wanted = annotationsOf(own);
  if (wanted !== undefined) {
    const { [LAST_APPLIED]: _, ...others } = wanted;
    own.annotations = others;
  }
  const record = sorted({ ...config, metadata: own });
  metadata.annotations = { ...annotations, [LAST_APPLIED]: `${JSON.stringify(record)}\n` };
}

/** The value with the members of its objects in alphabetical order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => sorted(item));
  if (!isObject(value)) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, sorted(member)]));
}

/** A Scale has no versions but its own. */
const asOfScale = (conflict: ApplyConflict): ApplyConflict => ({
  ...conflict,
  owner: { ...conflict.owner, apiVersion: "autoscaling/v1" },
});

/** The 409 answer, with one cause for each field. However many there are, it takes no longer than they are many. */
export function applyConflict(conflicts: readonly ApplyConflict[]): StatusError {
  const causes = conflicts.map(({ owner, path }) => ({
    reason: "FieldManagerConflict",
    message: `conflict with ${textOfManager(owner)}`,
    field: path,
  }));
  return statusError("Conflict", conflictMessage(conflicts), { causes });
}

function conflictMessage(conflicts: readonly ApplyConflict[]): string {
  const [first] = conflicts;
  if (conflicts.length === 1 && first !== undefined) {
    return `Apply failed with 1 conflict: conflict with ${textOfManager(first.owner)}: ${first.path}`;
  }
  const paths = new Map<string, string[]>();
  for (const { owner, path } of conflicts) {
    const name = textOfManager(owner);
    const known = paths.get(name);
    if (known === undefined) paths.set(name, [path]);
    else known.push(path);
  }
  const lines = [...paths].flatMap(([name, list]) => [`conflicts with ${name}:`, ...list.map((path) => `- ${path}`)]);
  return `Apply failed with ${conflicts.length} conflicts: ${lines.join("\n")}`;
}
