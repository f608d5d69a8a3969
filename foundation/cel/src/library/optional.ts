import type { FunctionDeclaration } from "../check/environment.ts";
import { BOOL, DYN, INT, STRING, listType, mapType, optionalType, typeParam } from "../types/cel-type.ts";
import { isZero } from "../values/convert.ts";
import {
  ArrayList,
  CelError,
  type CelList,
  CelOptional,
  OPTIONAL_NONE,
  displayValue,
  type CelValue,
} from "../values/value.ts";
import { define, member, overload } from "./define.ts";

const K = typeParam("K");
const V = typeParam("V");
const OPTIONAL = optionalType(V);
const LIST = listType(V);
const MAP = mapType(K, V);

function unwrap([list]: readonly CelValue[]): CelValue {
  const values: CelValue[] = [];
  for (let index = 0; index < (list as CelList).size; index++) {
    const value = (list as CelList).at(index);
    if (!(value instanceof CelOptional)) return new CelError(`value ${displayValue(value)} is not optional`);
    if (value.value !== undefined) values.push(value.value);
  }
  return new ArrayList(values);
}

function end(first: boolean) {
  return ([list]: readonly CelValue[]): CelValue => {
    const { size } = list as CelList;
    return size === 0 ? OPTIONAL_NONE : new CelOptional((list as CelList).at(first ? 0 : size - 1));
  };
}

/** Values that may be missing. */
export const OPTIONALS: readonly FunctionDeclaration[] = [
  define(
    "optional.of",
    overload("optional_of", [V], OPTIONAL, ([value]) => new CelOptional(value!)),
  ),
  define(
    "optional.ofNonZeroValue",
    overload("optional_ofNonZeroValue", [V], OPTIONAL, ([value]) =>
      isZero(value!) ? OPTIONAL_NONE : new CelOptional(value!),
    ),
  ),
  define(
    "optional.none",
    overload("optional_none", [], OPTIONAL, () => OPTIONAL_NONE),
  ),
  define(
    "value",
    member(
      "optional_value",
      [OPTIONAL],
      V,
      ([optional]) => (optional as CelOptional).value ?? missingValue(optional as CelOptional),
    ),
  ),
  define(
    "hasValue",
    member("optional_hasValue", [OPTIONAL], BOOL, ([optional]) => (optional as CelOptional).value !== undefined),
  ),
  define("or", member("optional_or_optional", [OPTIONAL, OPTIONAL], OPTIONAL)),
  define("orValue", member("optional_orValue_value", [OPTIONAL, V], V)),
  define("_?._", overload("select_optional_field", [DYN, STRING], OPTIONAL)),
  define(
    "_[?_]",
    overload("list_optindex_optional_int", [LIST, INT], OPTIONAL),
    overload("optional_list_optindex_optional_int", [optionalType(LIST), INT], OPTIONAL),
    overload("map_optindex_optional_value", [MAP, K], OPTIONAL),
    overload("optional_map_optindex_optional_value", [optionalType(MAP), K], OPTIONAL),
  ),
  define(
    "_[_]",
    overload("optional_list_index_int", [optionalType(LIST), INT], OPTIONAL),
    overload("optional_map_index_value", [optionalType(MAP), K], OPTIONAL),
  ),
  define("last", member("list_last", [LIST], OPTIONAL, end(false))),
  define("first", member("list_first", [LIST], OPTIONAL, end(true))),
  define("optional.unwrap", overload("optional_unwrap", [listType(OPTIONAL)], LIST, unwrap)),
  define("unwrapOpt", member("optional_unwrapOpt", [listType(OPTIONAL)], LIST, unwrap)),
];

function missingValue(optional: CelOptional): CelValue {
  return optional.value === null ? null : new CelError("optional.none() dereference");
}
