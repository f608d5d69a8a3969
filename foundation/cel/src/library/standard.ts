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
  typeType,
  type CelType,
} from "../types/cel-type.ts";
import { NO_SUCH_OVERLOAD } from "../values/compare.ts";
import { toBool, toBytes, toDouble, toDuration, toInt, toText, toTimestamp, toUint } from "../values/convert.ts";
import { wallClock } from "../values/time.ts";
import {
  type CelDuration,
  CelError,
  CelTypeValue,
  normalInt,
  typeNameOf,
  type CelTimestamp,
  type CelValue,
} from "../values/value.ts";
import { add, contains, divide, modulo, multiply, negate, ordered, size, subtract } from "./arithmetic.ts";
import { A, B, define, defineShared, member, overload } from "./define.ts";
import { compileRegex } from "./regular-expressions.ts";

const LIST = listType(A);
const MAP = mapType(A, B);
const NUMBERS: ReadonlyArray<readonly [string, CelType]> = [
  ["int64", INT],
  ["uint64", UINT],
  ["double", DOUBLE],
];

function comparison(name: string, id: string, holds: (order: number) => boolean): FunctionDeclaration {
  const compare = ordered(name, holds);
  const overloads: Overload[] = [overload(`${id}_bool`, [BOOL, BOOL], BOOL)];
  for (const [left, leftType] of NUMBERS) {
    for (const [right, rightType] of NUMBERS) {
      overloads.push(
        overload(left === right ? `${id}_${left}` : `${id}_${left}_${right}`, [leftType, rightType], BOOL),
      );
    }
  }
  overloads.push(
    overload(`${id}_string`, [STRING, STRING], BOOL),
    overload(`${id}_bytes`, [BYTES, BYTES], BOOL),
    overload(`${id}_timestamp`, [TIMESTAMP, TIMESTAMP], BOOL),
    overload(`${id}_duration`, [DURATION, DURATION], BOOL),
  );
  return defineShared(name, ([a, b]) => compare(a!, b!), ...overloads);
}

function numeric(name: string, id: string, call: (a: CelValue, b: CelValue) => CelValue): FunctionDeclaration {
  return defineShared(
    name,
    ([a, b]) => call(a!, b!),
    overload(`${id}_double`, [DOUBLE, DOUBLE], DOUBLE),
    overload(`${id}_int64`, [INT, INT], INT),
    overload(`${id}_uint64`, [UINT, UINT], UINT),
  );
}

function conversion(
  name: string,
  result: CelType,
  convert: (value: CelValue) => CelValue,
  from: ReadonlyArray<readonly [string, CelType]>,
): FunctionDeclaration {
  return define(name, ...from.map(([id, type]) => overload(id, [type], result, ([value]) => convert(value!))));
}

type ReadClock = (date: Date) => number;

function timeAccessor(
  name: string,
  id: string,
  read: ReadClock,
  zoned = `${id}_with_tz`,
): readonly [string, Overload[]] {
  const get = (timestamp: CelValue, zone: CelValue): CelValue => {
    const clock = wallClock((timestamp as CelTimestamp).nanos, zone as string);
    return typeof clock === "string" ? new CelError(clock) : read(clock);
  };
  return [
    name,
    [
      member(id, [TIMESTAMP], INT, ([timestamp]) => get(timestamp!, "UTC")),
      member(zoned, [TIMESTAMP, STRING], INT, ([timestamp, zone]) => get(timestamp!, zone!)),
    ],
  ];
}

function dayOfYear(date: Date): number {
  const start = new Date(0);
  start.setUTCFullYear(date.getUTCFullYear(), 0, 1);
  return Math.floor((date.getTime() - start.getTime()) / 86_400_000);
}

function durationAccessor(id: string, unit: bigint): Overload {
  return member(id, [DURATION], INT, ([duration]) => normalInt((duration as CelDuration).nanos / unit));
}

const DURATION_UNITS: Readonly<Record<string, readonly [string, bigint]>> = {
  getHours: ["duration_to_hours", 3_600_000_000_000n],
  getMinutes: ["duration_to_minutes", 60_000_000_000n],
  getSeconds: ["duration_to_seconds", 1_000_000_000n],
  getMilliseconds: ["duration_to_milliseconds", 1_000_000n],
};

const ACCESSORS: FunctionDeclaration[] = [
  timeAccessor("getFullYear", "timestamp_to_year", (date) => date.getUTCFullYear()),
  timeAccessor("getMonth", "timestamp_to_month", (date) => date.getUTCMonth()),
  timeAccessor("getDayOfYear", "timestamp_to_day_of_year", dayOfYear),
  timeAccessor("getDayOfMonth", "timestamp_to_day_of_month", (date) => date.getUTCDate() - 1),
  timeAccessor("getDate", "timestamp_to_day_of_month_1_based", (date) => date.getUTCDate()),
  timeAccessor("getDayOfWeek", "timestamp_to_day_of_week", (date) => date.getUTCDay()),
  timeAccessor("getHours", "timestamp_to_hours", (date) => date.getUTCHours()),
  timeAccessor("getMinutes", "timestamp_to_minutes", (date) => date.getUTCMinutes()),
  timeAccessor("getSeconds", "timestamp_to_seconds", (date) => date.getUTCSeconds(), "timestamp_to_seconds_tz"),
  timeAccessor("getMilliseconds", "timestamp_to_milliseconds", (date) => date.getUTCMilliseconds()),
].map(([name, overloads]) => {
  const unit = DURATION_UNITS[name];
  return define(name, ...overloads, ...(unit === undefined ? [] : [durationAccessor(unit[0], unit[1])]));
});

function textTest(name: string, id: string, test: (text: string, other: string) => boolean): FunctionDeclaration {
  return {
    ...define(
      name,
      member(id, [STRING, STRING], BOOL, ([text, other]) =>
        typeof text === "string" && typeof other === "string" ? test(text, other) : NO_SUCH_OVERLOAD,
      ),
    ),
    unguarded: true,
  };
}

/** The functions and operators of the language itself. */
export const STANDARD: readonly FunctionDeclaration[] = [
  define("_?_:_", overload("conditional", [BOOL, A, A], A)),
  define("_&&_", overload("logical_and", [BOOL, BOOL], BOOL)),
  define("_||_", overload("logical_or", [BOOL, BOOL], BOOL)),
  defineShared(
    "!_",
    ([value]) => (typeof value === "boolean" ? !value : NO_SUCH_OVERLOAD),
    overload("logical_not", [BOOL], BOOL),
  ),
  define("@not_strictly_false", overload("not_strictly_false", [BOOL], BOOL)),
  define("_==_", overload("equals", [A, A], BOOL)),
  define("_!=_", overload("not_equals", [A, A], BOOL)),
  defineShared(
    "_+_",
    ([a, b]) => add(a!, b!),
    overload("add_bytes", [BYTES, BYTES], BYTES),
    overload("add_double", [DOUBLE, DOUBLE], DOUBLE),
    overload("add_duration_duration", [DURATION, DURATION], DURATION),
    overload("add_duration_timestamp", [DURATION, TIMESTAMP], TIMESTAMP),
    overload("add_timestamp_duration", [TIMESTAMP, DURATION], TIMESTAMP),
    overload("add_int64", [INT, INT], INT),
    overload("add_list", [LIST, LIST], LIST),
    overload("add_string", [STRING, STRING], STRING),
    overload("add_uint64", [UINT, UINT], UINT),
  ),
  numeric("_/_", "divide", divide),
  defineShared(
    "_%_",
    ([a, b]) => modulo(a!, b!),
    overload("modulo_int64", [INT, INT], INT),
    overload("modulo_uint64", [UINT, UINT], UINT),
  ),
  numeric("_*_", "multiply", multiply),
  defineShared(
    "-_",
    ([value]) => negate(value!),
    overload("negate_double", [DOUBLE], DOUBLE),
    overload("negate_int64", [INT], INT),
  ),
  defineShared(
    "_-_",
    ([a, b]) => subtract(a!, b!),
    overload("subtract_double", [DOUBLE, DOUBLE], DOUBLE),
    overload("subtract_duration_duration", [DURATION, DURATION], DURATION),
    overload("subtract_int64", [INT, INT], INT),
    overload("subtract_timestamp_duration", [TIMESTAMP, DURATION], TIMESTAMP),
    overload("subtract_timestamp_timestamp", [TIMESTAMP, TIMESTAMP], DURATION),
    overload("subtract_uint64", [UINT, UINT], UINT),
  ),
  comparison("_<_", "less", (order) => order < 0),
  comparison("_<=_", "less_equals", (order) => order <= 0),
  comparison("_>_", "greater", (order) => order > 0),
  comparison("_>=_", "greater_equals", (order) => order >= 0),
  define("_[_]", overload("index_list", [LIST, INT], A), overload("index_map", [MAP, A], B)),
  defineShared(
    "@in",
    ([value, container]) => contains(value!, container!),
    overload("in_list", [A, LIST], BOOL),
    overload("in_map", [A, MAP], BOOL),
  ),
  defineShared(
    "size",
    ([value]) => size(value!),
    overload("size_bytes", [BYTES], INT),
    member("bytes_size", [BYTES], INT),
    overload("size_list", [LIST], INT),
    member("list_size", [LIST], INT),
    overload("size_map", [MAP], INT),
    member("map_size", [MAP], INT),
    overload("size_string", [STRING], INT),
    member("string_size", [STRING], INT),
  ),
  defineShared("type", ([value]) => new CelTypeValue(typeNameOf(value!)), overload("type", [A], typeType(A))),
  conversion("bool", BOOL, toBool, [
    ["bool_to_bool", BOOL],
    ["string_to_bool", STRING],
  ]),
  conversion("bytes", BYTES, toBytes, [
    ["bytes_to_bytes", BYTES],
    ["string_to_bytes", STRING],
  ]),
  conversion("double", DOUBLE, toDouble, [
    ["double_to_double", DOUBLE],
    ["int64_to_double", INT],
    ["string_to_double", STRING],
    ["uint64_to_double", UINT],
  ]),
  conversion("duration", DURATION, toDuration, [
    ["duration_to_duration", DURATION],
    ["int64_to_duration", INT],
    ["string_to_duration", STRING],
  ]),
  conversion("dyn", DYN, (value) => value, [["to_dyn", A]]),
  conversion("int", INT, toInt, [
    ["int64_to_int64", INT],
    ["double_to_int64", DOUBLE],
    ["duration_to_int64", DURATION],
    ["string_to_int64", STRING],
    ["timestamp_to_int64", TIMESTAMP],
    ["uint64_to_int64", UINT],
  ]),
  conversion("string", STRING, toText, [
    ["string_to_string", STRING],
    ["bool_to_string", BOOL],
    ["bytes_to_string", BYTES],
    ["double_to_string", DOUBLE],
    ["duration_to_string", DURATION],
    ["int64_to_string", INT],
    ["timestamp_to_string", TIMESTAMP],
    ["uint64_to_string", UINT],
  ]),
  conversion("timestamp", TIMESTAMP, toTimestamp, [
    ["timestamp_to_timestamp", TIMESTAMP],
    ["int64_to_timestamp", INT],
    ["string_to_timestamp", STRING],
  ]),
  conversion("uint", UINT, toUint, [
    ["uint64_to_uint64", UINT],
    ["double_to_uint64", DOUBLE],
    ["int64_to_uint64", INT],
    ["string_to_uint64", STRING],
  ]),
  textTest("contains", "contains_string", (text, other) => text.includes(other)),
  textTest("endsWith", "ends_with_string", (text, other) => text.endsWith(other)),
  textTest("startsWith", "starts_with_string", (text, other) => text.startsWith(other)),
  defineShared(
    "matches",
    ([text, pattern]) => {
      if (typeof text !== "string") return new CelError("no such overload: matches");
      if (typeof pattern !== "string") return NO_SUCH_OVERLOAD;
      const regex = compileRegex(pattern);
      return regex instanceof CelError ? regex : regex.test(text);
    },
    overload("matches", [STRING, STRING], BOOL),
    member("matches_string", [STRING, STRING], BOOL),
  ),
  ...ACCESSORS,
];
