import {
  badRequest,
  forbiddenField,
  invalid,
  isExpired,
  notSupported,
  StatusError,
  statusError,
  timeout,
  type FieldError,
} from "@coracle/apimachinery";
import type { StorageListRequest, StorageListResult, StorageWatcher } from "../storage/object-storage.ts";
import { decodeContinue, encodeContinue } from "./continue-token.ts";
import type { ListAnswer, ListQuery, WatchQuery } from "./registry.ts";
import type { ResourceCore } from "./resource-core.ts";
import { compileSelection } from "./selection.ts";

const given = (text: string | undefined): text is string => text !== undefined && text !== "";

/** The number in a list's resourceVersion; undefined when none was given. */
export function parseResourceVersion(text: string | undefined): number | undefined {
  if (!given(text)) return undefined;
  const fault = versionFault(text);
  if (fault !== undefined) throw badRequest(`invalid resource version: ${fault}`);
  return Number(text);
}

/** The same for gets and watches, where a text that is no version is an error of the server. */
export function parseReadVersion(text: string | undefined): number | undefined {
  const fault = given(text) ? versionFault(text) : undefined;
  if (fault !== undefined) throw statusError("", fault);
  return parseResourceVersion(text);
}

function versionFault(text: string): string | undefined {
  if (/^\d{1,19}$/.test(text)) return undefined;
  const quoted = JSON.stringify(text);
  return `resourceVersion: Invalid value: ${quoted}: strconv.ParseUint: parsing ${quoted}: invalid syntax`;
}

/** Which combinations of list options make sense. */
function checkListOptions(query: ListQuery, sendInitialEvents: boolean | undefined, isWatch: boolean): void {
  const errors: FieldError[] = [];
  const match = query.resourceVersionMatch;
  const field = "resourceVersionMatch";
  if (given(match)) {
    if (isWatch && sendInitialEvents === undefined) {
      errors.push(
        forbiddenField(field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
      );
    }
    if (!isWatch && !given(query.resourceVersion)) {
      errors.push(forbiddenField(field, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    }
    if (given(query.continue)) {
      errors.push(forbiddenField(field, "resourceVersionMatch is forbidden when continue is provided"));
    }
    if (!isWatch && match !== "Exact" && match !== "NotOlderThan")
      errors.push(notSupported(field, match, ["Exact", "NotOlderThan", ""]));
    if (!isWatch && match === "Exact" && query.resourceVersion === "0") {
      errors.push(forbiddenField(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
    }
  }
  if (isWatch && sendInitialEvents !== undefined && match !== "NotOlderThan") {
    errors.push(forbiddenField(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    if (given(match)) errors.push(notSupported(field, match, ["NotOlderThan"]));
  }
  if (isWatch && sendInitialEvents === undefined && given(match) && match !== "NotOlderThan")
    errors.push(notSupported(field, match, ["NotOlderThan"]));
  if (isWatch && given(query.continue) && !given(match))
    errors.push(forbiddenField(field, "resourceVersionMatch is forbidden when continue is provided"));
  if (!isWatch && sendInitialEvents !== undefined)
    errors.push(forbiddenField("sendInitialEvents", "sendInitialEvents is forbidden for list"));
  if (errors.length > 0) throw invalid({ group: "meta.k8s.io", kind: "ListOptions" }, "", errors);
}

/** Waits until a revision can be read; 504 when it lies in the future. */
export async function reachRevision(core: ResourceCore, revision: number): Promise<void> {
  if (core.storage.revision >= revision || (await core.waitForRevision(revision))) return;
  const error = timeout(`Too large resource version: ${revision}, current: ${core.storage.revision}`, 1);
  throw new StatusError({
    ...error.status,
    details: {
      ...error.status.details,
      causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    },
  });
}

/** The state that a list shows. */
interface Moment {
  /** Absent: now. */
  readonly revision?: number;
  readonly after?: string;
  readonly limit?: number;
}

async function momentOf(core: ResourceCore, base: string, query: ListQuery): Promise<Moment> {
  const limit = query.limit === undefined || query.limit <= 0 ? undefined : query.limit;
  if (given(query.continue)) {
    if (given(query.resourceVersion) && query.resourceVersion !== "0") {
      throw badRequest("specifying resource version is not allowed when using continue");
    }
    const token = decodeContinue(query.continue);
    const after = `${base}${token.start.endsWith("\0") ? token.start.slice(0, -1) : token.start}`;
    if (token.revision > 0) await reachRevision(core, token.revision);
    return {
      ...(token.revision > 0 ? { revision: token.revision } : {}),
      after,
      ...(limit === undefined ? {} : { limit }),
    };
  }
  const revision = parseResourceVersion(query.resourceVersion);
  // Whatever is at hand is given whole.
  if (revision === 0) return {};
  const isExact =
    query.resourceVersionMatch === "Exact" ||
    (!given(query.resourceVersionMatch) && limit !== undefined && revision !== undefined && revision !== 0);
  if (revision !== undefined && revision !== 0) await reachRevision(core, revision);
  return { ...(isExact && revision !== undefined ? { revision } : {}), ...(limit === undefined ? {} : { limit }) };
}

/** GET of a collection. */
export async function listObjects(
  core: ResourceCore,
  namespace: string | undefined,
  query: ListQuery,
): Promise<ListAnswer> {
  checkListOptions(query, query.sendInitialEvents, false);
  const selection = compileSelection(core, query);
  const scope = selection.namespace !== undefined && namespace === undefined ? selection.namespace : namespace;
  const base = `${core.entry.etcdPrefix ?? ""}/${scope === undefined || !core.entry.namespaced ? "" : `${scope}/`}`;
  const moment = await momentOf(core, base, query);
  const request: StorageListRequest = {
    ...(core.entry.namespaced ? { namespace: scope } : {}),
    ...(core.entry.namespaced || selection.name === undefined ? {} : { namespace: "" }),
    name: selection.name,
    predicate: selection.predicate,
    index: selection.index,
    label: selection.label,
    ...moment,
  };
  if (namespace !== undefined && selection.namespace !== undefined && selection.namespace !== namespace) {
    return answer(base, { items: [], revision: core.storage.revision });
  }
  try {
    return answer(base, await core.storage.list(request));
  } catch (error) {
    if (!isExpired(error)) throw error;
    throw given(query.continue) ? tooOldToContinue(moment, base) : tooOld(moment);
  }
}

function answer(base: string, result: StorageListResult): ListAnswer {
  const { revision, lastKey, remaining } = result;
  return {
    ...result,
    metadata: {
      resourceVersion: String(revision),
      ...(lastKey === undefined
        ? {}
        : { continue: encodeContinue({ revision, start: `${lastKey.slice(base.length)}\0` }) }),
      ...(lastKey === undefined || remaining === undefined ? {} : { remainingItemCount: remaining }),
    },
  };
}

function tooOld(moment: Moment): Error {
  return statusError("Expired", `The resourceVersion for the provided list is too old.`, undefined, {
    cause: moment,
  });
}

function tooOldToContinue(moment: Moment, base: string): Error {
  const error = statusError(
    "Expired",
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
  );
  const start = `${(moment.after ?? "").slice(base.length)}\0`;
  return new StatusError({ ...error.status, metadata: { continue: encodeContinue({ revision: -1, start }) } });
}

/** WATCH of a collection or one object. */
export function watchObjects(
  core: ResourceCore,
  namespace: string | undefined,
  query: WatchQuery,
  watcher: StorageWatcher,
): Disposable {
  checkListOptions(query, query.sendInitialEvents, true);
  const selection = compileSelection(core, query);
  const since = parseReadVersion(query.resourceVersion);
  if (namespace !== undefined && selection.namespace !== undefined && selection.namespace !== namespace) {
    // Nothing can match; the watch stays open and silent.
    return core.storage.watch({ namespace, name: selection.name, predicate: () => false, since }, watcher);
  }
  const scope = namespace ?? selection.namespace;
  const request = {
    ...(core.entry.namespaced ? { namespace: scope } : {}),
    name: selection.name,
    predicate: selection.predicate,
    index: selection.index,
  };
  if (query.sendInitialEvents === true) return core.storage.watch({ ...request, since: 0 }, watcher);
  if (query.sendInitialEvents === false && (since === undefined || since === 0)) {
    return core.storage.watch({ ...request, since: core.storage.revision }, watcher);
  }
  return core.storage.watch({ ...request, since }, watcher);
}
