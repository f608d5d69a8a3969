/** etcd's range over byte strings: no end means the one key, an end of one zero byte means everything from `key` on. */
export interface ByteRange {
  readonly key: string;
  readonly end: string;
}

interface Interval {
  readonly from: string;
  /** Exclusive; undefined: no end. */
  readonly to: string | undefined;
}

const toInterval = ({ key, end }: ByteRange): Interval => ({
  from: key,
  // The next key after one key is that key and a zero byte.
  to: end === "" ? `${key}\0` : end === "\0" ? undefined : end,
});

/** Whether `wanted` lies wholly within the ranges taken together. */
export function isCovered(wanted: ByteRange, granted: readonly ByteRange[]): boolean {
  const { from, to } = toInterval(wanted);
  let at = from;
  for (const each of granted.map(toInterval).toSorted((a, b) => (a.from < b.from ? -1 : 1))) {
    if (each.from > at) return false;
    if (each.to === undefined) return true;
    if (each.to > at) at = each.to;
    if (to !== undefined && at >= to) return true;
  }
  return false;
}
