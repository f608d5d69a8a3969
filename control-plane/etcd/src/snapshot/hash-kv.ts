import type { StoreView } from "../engine/engine.ts";
import { visibleAt, type Version } from "../mvcc/key-index.ts";
import { CompactedError, StoreError, type Revision } from "../store/store.ts";
import { crc32c } from "./crc32c.ts";
import { toRevisionRow } from "./revision-row.ts";

/** Rows summed up before others get a turn. */
const SLICE = 2_000;

/** A sum over the history of a store, and over which part of it. */
export interface KeyValueHash {
  readonly hash: number;
  readonly revision: Revision;
  readonly compacted: Revision;
}

/**
 * etcd's sum over keys and history up to `revision` (0: now): two stores with the same history, compacted at the same revision, have the
 * same, whichever of them is etcd.
 */
export async function hashKeyValues(view: StoreView, wanted: Revision): Promise<KeyValueHash> {
  const { compacted } = view;
  if (wanted > 0 && wanted < compacted) throw new CompactedError(compacted);
  if (wanted > view.revision) {
    throw new StoreError("futureRevision", "etcdserver: mvcc: required revision is a future revision");
  }
  const revision = wanted > 0 ? wanted : view.revision;
  const counted = countedVersions(view, revision);
  let hash = crc32c(0, Buffer.from("key"));
  for (let at = 0; at < counted.length; at++) {
    const version = counted[at] as Version;
    const row = toRevisionRow(version, version.version === 0 ? NOTHING : view.valueOf(version));
    hash = crc32c(crc32c(hash, row.key), row.value);
    // oxlint-disable-next-line no-await-in-loop
    if (at % SLICE === SLICE - 1) await new Promise((resolve) => setImmediate(resolve));
  }
  return { hash, revision, compacted };
}

const NOTHING = Buffer.alloc(0);

/** Of what is older than the compaction only what is still to be seen at `revision` counts: members compact at their own pace. */
function countedVersions({ versions, compacted }: StoreView, revision: Revision): Version[] {
  const upTo = versions.filter((version) => version.modRevision <= revision);
  const isKept = (version: Version): boolean => visibleAt(version.record, revision) === version;
  // etcd takes "nothing is to be seen" for "nothing is being compacted".
  const hasKept = upTo.some((version) => visibleAt(version.record, revision) !== undefined);
  return upTo.filter((version) => {
    if (version.modRevision > compacted) return true;
    if (version.version === 0 && version.modRevision === compacted) return false;
    return !hasKept || isKept(version);
  });
}
