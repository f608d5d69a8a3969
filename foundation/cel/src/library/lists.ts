import type { FunctionDeclaration, Overload } from "../check/environment.ts";
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  STRING,
  TIMESTAMP,
  UINT,
  listType,
  mapType,
  typeParam,
  type CelType,
} from "../types/cel-type.ts";
import { compareValues, equalValues, isComparable, NO_SUCH_OVERLOAD } from "../values/compare.ts";
import {
  ArrayList,
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  type CelMap,
  CelUint,
  EntryMap,
  GrowingMap,
  displayValue,
  typeNameOf,
  type CelValue,
} from "../values/value.ts";
import { add, contains } from "./arithmetic.ts";
import { A, define, defineShared, member, overload } from "./define.ts";

const COMPARABLE: ReadonlyArray<readonly [string, CelType]> = [
  ["int", INT],
  ["uint", UINT],
  ["double", DOUBLE],
  ["bool", BOOL],
  ["duration", DURATION],
  ["timestamp", TIMESTAMP],
  ["string", STRING],
  ["bytes", BYTES],
];
const T = typeParam("T");
const LIST = listType(T);
const ZERO: Readonly<Record<string, CelValue>> = {
  int: 0,
  uint: new CelUint(0n),
  double: new CelDouble(0),
  duration: new CelDuration(0n),
};

function* elements(list: CelValue): Generator<CelValue> {
  for (let index = 0; index < (list as CelList).size; index++) yield (list as CelList).at(index);
}

function isSorted([list]: readonly CelValue[]): CelValue {
  let previous: CelValue | undefined;
  for (const element of elements(list!)) {
    if (!isComparable(element)) return NO_SUCH_OVERLOAD;
    if (previous !== undefined && compareValues(previous, element) === 1) return false;
    previous = element;
  }
  return true;
}

function sumFrom(zero: CelValue) {
  return ([list]: readonly CelValue[]): CelValue => {
    let sum = zero;
    for (const element of elements(list!)) {
      sum = add(sum, element);
      if (sum instanceof CelError) return sum;
    }
    return sum;
  };
}

function extreme(name: string, replaces: number) {
  return ([list]: readonly CelValue[]): CelValue => {
    let best: CelValue | undefined;
    for (const element of elements(list!)) {
      if (!isComparable(element)) return NO_SUCH_OVERLOAD;
      if (best === undefined || compareValues(best, element) === replaces) best = element;
    }
    return best ?? new CelError(`${name} called on empty list`);
  };
}

function indexOf([list, item]: readonly CelValue[]): CelValue {
  let index = 0;
  for (const element of elements(list!)) {
    if (equalValues(element, item!) === true) return index;
    index++;
  }
  return -1;
}

function lastIndexOf([list, item]: readonly CelValue[]): CelValue {
  for (let index = (list as CelList).size - 1; index >= 0; index--) {
    if (equalValues((list as CelList).at(index), item!) === true) return index;
  }
  return -1;
}

function perType(of: (name: string, type: CelType) => Overload, types = COMPARABLE): Overload[] {
  return types.map(([name, type]) => of(name, type));
}

const SUMMABLE = COMPARABLE.filter(([name]) => name in ZERO);

/** The lists library of Kubernetes. */
const KUBERNETES_LISTS: readonly FunctionDeclaration[] = [
  define(
    "isSorted",
    ...perType((name, type) => member(`list_${name}_is_sorted_bool`, [listType(type)], BOOL, isSorted)),
  ),
  define(
    "sum",
    ...perType(
      (name, type) => member(`list_${name}_sum_${name}`, [listType(type)], type, sumFrom(ZERO[name]!)),
      SUMMABLE,
    ),
  ),
  define(
    "max",
    ...perType((name, type) => member(`list_${name}_max_${name}`, [listType(type)], type, extreme("max", -1))),
  ),
  define(
    "min",
    ...perType((name, type) => member(`list_${name}_min_${name}`, [listType(type)], type, extreme("min", 1))),
  ),
  define("indexOf", member("list_a_index_of_int", [listType(A), A], INT, indexOf)),
  define("lastIndexOf", member("list_a_last_index_of_int", [listType(A), A], INT, lastIndexOf)),
];

function slice([list, start, end]: readonly CelValue[]): CelValue {
  const [from, to, { size }] = [Number(start), Number(end), list as CelList];
  const shown = `cannot slice(${displayValue(start!)}, ${displayValue(end!)})`;
  if (from < 0 || to < 0) return new CelError(`${shown}, negative indexes not supported`);
  if (from > to) return new CelError(`${shown}, start index must be less than or equal to end index`);
  if (size < to) return new CelError(`${shown}, list is length ${size}`);
  const values: CelValue[] = [];
  for (let index = from; index < to; index++) values.push((list as CelList).at(index));
  return new ArrayList(values);
}

function flatten([list, depth = 1]: readonly CelValue[]): CelValue {
  if (Number(depth) < 0) return new CelError("level must be non-negative");
  const values: CelValue[] = [];
  const visit = (from: CelValue, left: number): void => {
    for (const element of elements(from)) {
      if (element instanceof CelList && left > 0) visit(element, left - 1);
      else values.push(element);
    }
  };
  visit(list!, Number(depth));
  return new ArrayList(values);
}

function sortBy([list, keys]: readonly CelValue[]): CelValue {
  const values = [...elements(list!)];
  const order = [...elements(keys!)];
  if (values.length !== order.length) {
    const counts = `${values.length} and ${order.length} elements respectively`;
    const wanted = "a list of the same size as the associated keys list";
    return new CelError(`@sortByAssociatedKeys() expected ${wanted}, but got ${counts}`);
  }
  const [first] = order;
  if (first === undefined) return list!;
  if (!isComparable(first)) return new CelError("list elements must be comparable");
  if (order.some((key) => typeNameOf(key) !== typeNameOf(first))) {
    return new CelError("list elements must have the same type");
  }
  const indices = order.map((_key, index) => index);
  indices.sort((a, b) => {
    const compared = compareValues(order[a]!, order[b]!);
    return typeof compared === "number" ? compared : 0;
  });
  return new ArrayList(indices.map((index) => values[index]!));
}

function range([count]: readonly CelValue[], context: { charge?(cost: number): void }): CelValue {
  // The cost is known before the list is made: a list beyond the budget is never made.
  if (Number(count) > 1_000_000) context.charge?.(Number(count));
  return new ArrayList(Array.from({ length: Math.max(0, Number(count)) }, (_unused, index) => index));
}

function distinct([list]: readonly CelValue[]): CelValue {
  const unique: CelValue[] = [];
  for (const element of elements(list!)) {
    if (!unique.some((other) => equalValues(element, other) === true)) unique.push(element);
  }
  return new ArrayList(unique);
}

/** Version 3 of the language's lists library. */
const LANGUAGE_LISTS: readonly FunctionDeclaration[] = [
  define("slice", member("list_slice", [LIST, INT, INT], LIST, slice)),
  {
    ...define(
      "flatten",
      member("list_flatten", [listType(LIST)], LIST, flatten),
      member("list_flatten_int", [listType(DYN), INT], listType(DYN), flatten),
    ),
    unguarded: true,
  },
  defineShared(
    "sort",
    ([list]) => (list instanceof CelList ? sortBy([list, list]) : new CelError("no such overload: sort")),
    ...perType((_name, type) => member(`list_${type.name}_sort`, [listType(type)], listType(type))),
  ),
  defineShared(
    "@sortByAssociatedKeys",
    sortBy,
    ...perType((_name, type) => member(`list_${type.name}_sortByAssociatedKeys`, [LIST, listType(type)], LIST)),
  ),
  define("lists.range", overload("lists_range", [INT], listType(INT), range as Overload["call"])),
  define(
    "reverse",
    member("list_reverse", [LIST], LIST, ([list]) => new ArrayList([...elements(list!)].toReversed())),
  ),
  define("distinct", member("list_distinct", [LIST], LIST, distinct)),
];

function containsAll(list: CelValue, part: CelValue): CelValue {
  for (const element of elements(part)) {
    const found = contains(element, list);
    if (found !== true) return found;
  }
  return true;
}

function equivalent([a, b]: readonly CelValue[]): CelValue {
  const first = containsAll(a!, b!);
  return first === true ? containsAll(b!, a!) : first;
}

function intersects([a, b]: readonly CelValue[]): CelValue {
  for (const element of elements(a!)) if (contains(element, b!) === true) return true;
  return false;
}

/** Lists as sets. */
const SETS: readonly FunctionDeclaration[] = [
  define(
    "sets.contains",
    overload("list_sets_contains_list", [LIST, LIST], BOOL, ([a, b]) => containsAll(a!, b!)),
  ),
  define("sets.equivalent", overload("list_sets_equivalent_list", [LIST, LIST], BOOL, equivalent)),
  define("sets.intersects", overload("list_sets_intersects_list", [LIST, LIST], BOOL, intersects)),
];

function insert(target: CelMap, key: CelValue, value: CelValue): CelValue {
  if (target.find(key) !== undefined) return new CelError(`insert failed: key ${displayValue(key)} already exists`);
  if (target instanceof GrowingMap) {
    target.set(key, value);
    return target;
  }
  const copy = new EntryMap();
  for (const known of target.keys()) copy.set(known, target.find(known)!);
  copy.set(key, value);
  return copy;
}

function insertAll([target, entries]: readonly CelValue[]): CelValue {
  let result: CelValue = target!;
  for (const key of (entries as CelMap).keys()) {
    result = insert(result as CelMap, key, (entries as CelMap).find(key)!);
    if (result instanceof CelError) return result;
  }
  return result;
}

const K = typeParam("K");
const V = typeParam("V");
const MAP = mapType(K, V);

/** What the macros of comprehensions over two variables need. */
const INSERTS: readonly FunctionDeclaration[] = [
  define(
    "cel.@mapInsert",
    overload("@mapInsert_map_key_value", [MAP, K, V], MAP, ([map, key, value]) => insert(map as CelMap, key!, value!)),
    overload("@mapInsert_map_map", [MAP, MAP], MAP, insertAll),
  ),
];

/** The functions of lists, sets and maps. */
export const LISTS: readonly FunctionDeclaration[] = [...KUBERNETES_LISTS, ...SETS, ...INSERTS, ...LANGUAGE_LISTS];
