import { elementKey, JsonListView } from "./json-view.ts";
import {
  CelBytes,
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
} from "./value.ts";

/** What calls say whose operands fit no overload. */
export const NO_SUCH_OVERLOAD = new CelError("no such overload");
const NAN_ORDER = new CelError("NaN values cannot be ordered");

/** Whether both are equal, numbers of different kinds by their value. An error where they cannot be compared. */
export function equalValues(a: CelValue, b: CelValue): boolean | CelError {
  if (a === b) return true;
  switch (typeof a) {
    case "string":
    case "boolean":
      return false;
    case "number":
    case "bigint":
      return equalNumbers(a, b);
    default:
  }
  if (a === null || b === null) return false;
  if (a instanceof CelDouble || a instanceof CelUint) return equalNumbers(a, b);
  if (a instanceof CelList) return equalLists(a, b);
  if (a instanceof CelMap) return equalMaps(a, b);
  if (a instanceof CelBytes) return b instanceof CelBytes && Buffer.compare(a.value, b.value) === 0;
  if (a instanceof CelDuration) return b instanceof CelDuration && a.nanos === b.nanos;
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp && a.nanos === b.nanos;
  if (a instanceof CelTypeValue) return b instanceof CelTypeValue && a.name === b.name;
  if (a instanceof CelOptional) {
    if (!(b instanceof CelOptional)) return false;
    if (a.value === undefined || b.value === undefined) return a.value === b.value;
    return equalValues(a.value, b.value);
  }
  if (a instanceof CelError) return a;
  return b instanceof CelOpaque && a.type.name === b.type.name ? a.equals(b) : NO_SUCH_OVERLOAD;
}

/** -1, 0 or 1; an error where there is no order between the two. */
export function compareValues(a: CelValue, b: CelValue): number | CelError {
  if (typeof a === "number" && typeof b === "number") return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === "string") return typeof b === "string" ? compareText(a, b) : orError(b);
  if (typeof a === "boolean") return typeof b === "boolean" ? Number(a) - Number(b) : orError(b);
  if (isNumber(a)) {
    if (!isNumber(b)) return a instanceof CelDouble && Number.isNaN(a.value) ? NAN_ORDER : orError(b);
    return compareNumbers(a, b) ?? NAN_ORDER;
  }
  if (a instanceof CelBytes) return b instanceof CelBytes ? Buffer.compare(a.value, b.value) : orError(b);
  if (a instanceof CelDuration) return b instanceof CelDuration ? sign(a.nanos, b.nanos) : orError(b);
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp ? sign(a.nanos, b.nanos) : orError(b);
  return a instanceof CelError ? a : NO_SUCH_OVERLOAD;
}

/** Whether the value has an order at all. */
export function isComparable(value: CelValue): boolean {
  return (
    typeof value === "string" ||
    typeof value === "boolean" ||
    isNumber(value) ||
    value instanceof CelBytes ||
    value instanceof CelDuration ||
    value instanceof CelTimestamp
  );
}

function orError(value: CelValue): CelError {
  return value instanceof CelError ? value : NO_SUCH_OVERLOAD;
}

function sign(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Order by code points, which UTF-8 keeps and UTF-16 does not. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    const leftHigh = left >= 0xd800 && left <= 0xdfff;
    const rightHigh = right >= 0xd800 && right <= 0xdfff;
    if (leftHigh !== rightHigh) return leftHigh ? 1 : -1;
    return left < right ? -1 : 1;
  }
  return a.length < b.length ? -1 : a.length > b.length ? 1 : 0;
}

function isNumber(value: CelValue): value is number | bigint | CelUint | CelDouble {
  return (
    typeof value === "number" || typeof value === "bigint" || value instanceof CelUint || value instanceof CelDouble
  );
}

function equalNumbers(a: CelValue, b: CelValue): boolean {
  if (!isNumber(a) || !isNumber(b)) return false;
  return compareNumbers(a, b) === 0;
}

type Number64 = number | bigint | CelUint | CelDouble;

function compareNumbers(a: Number64, b: Number64): number | undefined {
  if (a instanceof CelDouble) {
    if (Number.isNaN(a.value)) return undefined;
    if (b instanceof CelDouble) {
      if (Number.isNaN(b.value)) return undefined;
      return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
    }
    return compareDoubleInteger(a.value, b);
  }
  if (b instanceof CelDouble) {
    if (Number.isNaN(b.value)) return undefined;
    return -compareDoubleInteger(b.value, a);
  }
  const left = a instanceof CelUint ? a.value : a;
  const right = b instanceof CelUint ? b.value : b;
  return left < right ? -1 : left > right ? 1 : 0;
}

function compareDoubleInteger(double: number, integer: number | bigint | CelUint): number {
  if (integer instanceof CelUint) {
    if (double < 0) return -1;
    if (double > 2 ** 64) return 1;
    return compareDoubles(double, Number(integer.value));
  }
  if (double < -(2 ** 63)) return -1;
  if (double > 2 ** 63) return 1;
  return compareDoubles(double, Number(integer));
}

function compareDoubles(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function equalLists(a: CelList, b: CelValue): boolean | CelError {
  if (!(b instanceof CelList)) return false;
  if (a instanceof JsonListView) {
    const equal = equalJsonLists(a, b);
    if (equal !== undefined) return equal;
  }
  const size = a.size;
  if (size !== b.size) return false;
  for (let index = 0; index < size; index++) {
    const equal = equalValues(a.at(index), b.at(index));
    if (equal !== true) return equal;
  }
  return true;
}

function equalMaps(a: CelMap, b: CelValue): boolean | CelError {
  if (!(b instanceof CelMap)) return false;
  if (a.size !== b.size) return false;
  for (const key of a.keys()) {
    const other = b.find(key);
    if (other === undefined) return false;
    const equal = equalValues(a.find(key)!, other);
    if (equal !== true) return equal;
  }
  return true;
}

/** Whether each element of a list is in a set of the same size. */
function containsAll(set: CelList, list: CelList): boolean {
  const among = (wanted: CelValue): boolean => {
    for (let index = 0; index < set.size; index++) if (equalValues(set.at(index), wanted) === true) return true;
    return false;
  };
  for (let index = 0; index < list.size; index++) if (!among(list.at(index))) return false;
  return true;
}

/** Whether two JSON lists are equal as their schema means it: sets and maps in any order. */
function equalJsonLists(a: JsonListView, b: CelList): boolean | CelError | undefined {
  const { listType, mapKeys = [] } = a.shape;
  if (listType !== "set" && listType !== "map") return undefined;
  if (a.size !== b.size) return false;
  const keyOf = (value: unknown): string => elementKey(value, listType, mapKeys);
  if (!(b instanceof JsonListView)) return listType === "set" ? containsAll(a, b) : undefined;
  const mine = new Map(a.raw.map((value, index) => [keyOf(value), index]));
  for (const [index, value] of b.raw.entries()) {
    const found = mine.get(keyOf(value));
    if (found === undefined) return false;
    if (listType === "set") continue;
    const equal = equalValues(a.at(found), b.at(index));
    if (equal !== true) return equal;
  }
  return true;
}
