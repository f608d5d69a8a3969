import { compareValues, equalValues, NO_SUCH_OVERLOAD } from "../values/compare.ts";
import { JsonListView, mergeJsonLists } from "../values/json-view.ts";
import { checkedTimestamp, DURATION_OVERFLOW } from "../values/time.ts";
import {
  CelBytes,
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelTimestamp,
  CelUint,
  GrowingList,
  INT_MAX,
  INT_MIN,
  UINT_MAX,
  checkedInt,
  isInt,
  sizeForCost,
  type CelValue,
} from "../values/value.ts";

const UINT_OVERFLOW = new CelError("unsigned integer overflow");
const DIVISION = new CelError("division by zero");
const MODULUS = new CelError("modulus by zero");

function noOverload(name: string): CelError {
  return new CelError(`no such overload: ${name}`);
}

const NO_ADD = noOverload("_+_");
const NO_SUBTRACT = noOverload("_-_");
const NO_MULTIPLY = noOverload("_*_");
const NO_DIVIDE = noOverload("_/_");
const NO_MODULO = noOverload("_%_");
const NO_NEGATE = noOverload("-_");

function checkedUint(value: bigint): CelUint | CelError {
  return value < 0n || value > UINT_MAX ? UINT_OVERFLOW : new CelUint(value);
}

function checkedDuration(nanos: bigint): CelDuration | CelError {
  return nanos < INT_MIN || nanos > INT_MAX ? DURATION_OVERFLOW : new CelDuration(nanos);
}

/** Whether a value has methods of its own: then a missing operator is a missing method. */
function isReceiver(value: CelValue): boolean {
  return typeof value === "string" || value instanceof CelDuration || value instanceof CelTimestamp;
}

/** `a + b`. */
export function add(a: CelValue, b: CelValue): CelValue {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    return Number.isSafeInteger(sum) ? sum : checkedInt(BigInt(a) + BigInt(b));
  }
  if (typeof a === "string") return typeof b === "string" ? a + b : NO_SUCH_OVERLOAD;
  if (isInt(a)) return isInt(b) ? checkedInt(BigInt(a) + BigInt(b)) : NO_SUCH_OVERLOAD;
  if (a instanceof CelList) return b instanceof CelList ? concatenate(a, b) : NO_SUCH_OVERLOAD;
  if (a instanceof CelDouble) return b instanceof CelDouble ? new CelDouble(a.value + b.value) : NO_SUCH_OVERLOAD;
  if (a instanceof CelUint) return b instanceof CelUint ? checkedUint(a.value + b.value) : NO_SUCH_OVERLOAD;
  if (a instanceof CelBytes) {
    return b instanceof CelBytes ? new CelBytes(Buffer.concat([a.value, b.value])) : NO_SUCH_OVERLOAD;
  }
  if (a instanceof CelDuration) {
    if (b instanceof CelDuration) return checkedDuration(a.nanos + b.nanos);
    return b instanceof CelTimestamp ? checkedTimestamp(b.nanos + a.nanos, b.offset) : NO_SUCH_OVERLOAD;
  }
  if (a instanceof CelTimestamp) {
    return b instanceof CelDuration ? checkedTimestamp(a.nanos + b.nanos, a.offset) : NO_SUCH_OVERLOAD;
  }
  return NO_ADD;
}

function concatenate(a: CelList, b: CelList): CelList {
  if (a instanceof GrowingList) {
    for (let index = 0; index < b.size; index++) a.values.push(b.at(index));
    return a;
  }
  if (a instanceof JsonListView) {
    const merged = mergeJsonLists(a, b);
    if (merged !== undefined) return merged;
  }
  if (a.size === 0) return b;
  if (b.size === 0) return a;
  return new ConcatenatedList(a, b);
}

/** Two lists seen as one. */
class ConcatenatedList extends CelList {
  readonly size: number;
  readonly #first: CelList;
  readonly #second: CelList;
  constructor(first: CelList, second: CelList) {
    super();
    this.#first = first;
    this.#second = second;
    this.size = first.size + second.size;
  }
  at(index: number): CelValue {
    const { size } = this.#first;
    return index < size ? this.#first.at(index) : this.#second.at(index - size);
  }
}

/** `a - b`. */
export function subtract(a: CelValue, b: CelValue): CelValue {
  if (typeof a === "number" && typeof b === "number") {
    const difference = a - b;
    return Number.isSafeInteger(difference) ? difference : checkedInt(BigInt(a) - BigInt(b));
  }
  if (isInt(a)) return isInt(b) ? checkedInt(BigInt(a) - BigInt(b)) : NO_SUCH_OVERLOAD;
  if (a instanceof CelDouble) return b instanceof CelDouble ? new CelDouble(a.value - b.value) : NO_SUCH_OVERLOAD;
  if (a instanceof CelUint) return b instanceof CelUint ? checkedUint(a.value - b.value) : NO_SUCH_OVERLOAD;
  if (a instanceof CelDuration) return b instanceof CelDuration ? checkedDuration(a.nanos - b.nanos) : NO_SUCH_OVERLOAD;
  if (a instanceof CelTimestamp) {
    if (b instanceof CelDuration) return checkedTimestamp(a.nanos - b.nanos, a.offset);
    return b instanceof CelTimestamp ? checkedDuration(a.nanos - b.nanos) : NO_SUCH_OVERLOAD;
  }
  return isReceiver(a) ? NO_SUCH_OVERLOAD : NO_SUBTRACT;
}

/** `a * b`. */
export function multiply(a: CelValue, b: CelValue): CelValue {
  if (typeof a === "number" && typeof b === "number") {
    const product = a * b;
    return Number.isSafeInteger(product) ? product + 0 : checkedInt(BigInt(a) * BigInt(b));
  }
  if (isInt(a)) return isInt(b) ? checkedInt(BigInt(a) * BigInt(b)) : NO_SUCH_OVERLOAD;
  if (a instanceof CelDouble) return b instanceof CelDouble ? new CelDouble(a.value * b.value) : NO_SUCH_OVERLOAD;
  if (a instanceof CelUint) return b instanceof CelUint ? checkedUint(a.value * b.value) : NO_SUCH_OVERLOAD;
  return isReceiver(a) ? NO_SUCH_OVERLOAD : NO_MULTIPLY;
}

/** `a / b`, towards zero for integers. */
export function divide(a: CelValue, b: CelValue): CelValue {
  if (isInt(a)) {
    if (!isInt(b)) return NO_SUCH_OVERLOAD;
    if (Number(b) === 0) return DIVISION;
    if (typeof a === "number" && typeof b === "number") return (a - (a % b)) / b + 0;
    return checkedInt(BigInt(a) / BigInt(b));
  }
  if (a instanceof CelDouble) return b instanceof CelDouble ? new CelDouble(a.value / b.value) : NO_SUCH_OVERLOAD;
  if (a instanceof CelUint) {
    if (!(b instanceof CelUint)) return NO_SUCH_OVERLOAD;
    return b.value === 0n ? DIVISION : new CelUint(a.value / b.value);
  }
  return isReceiver(a) ? NO_SUCH_OVERLOAD : NO_DIVIDE;
}

/** `a % b`. */
export function modulo(a: CelValue, b: CelValue): CelValue {
  if (isInt(a)) {
    if (!isInt(b)) return NO_SUCH_OVERLOAD;
    if (Number(b) === 0) return MODULUS;
    if (typeof a === "number" && typeof b === "number") return (a % b) + 0;
    if (BigInt(a) === INT_MIN && BigInt(b) === -1n) return new CelError("integer overflow");
    return checkedInt(BigInt(a) % BigInt(b));
  }
  if (a instanceof CelUint) {
    if (!(b instanceof CelUint)) return NO_SUCH_OVERLOAD;
    return b.value === 0n ? MODULUS : new CelUint(a.value % b.value);
  }
  return isReceiver(a) ? NO_SUCH_OVERLOAD : NO_MODULO;
}

/** `-a`. */
export function negate(a: CelValue): CelValue {
  if (typeof a === "number") return 0 - a;
  if (typeof a === "bigint") return checkedInt(-a);
  if (a instanceof CelDouble) return new CelDouble(-a.value);
  if (a instanceof CelDuration) return checkedDuration(-a.nanos);
  return typeof a === "boolean" || isReceiver(a) ? NO_SUCH_OVERLOAD : NO_NEGATE;
}

/** `<`, `<=`, `>` or `>=`: what `holds` says of the order. */
export function ordered(name: string, holds: (order: number) => boolean): (a: CelValue, b: CelValue) => CelValue {
  const none = noOverload(name);
  return (a, b) => {
    if (a === null || a instanceof CelList || a instanceof CelMap) return none;
    const order = compareValues(a, b);
    return typeof order === "number" ? holds(order) : order;
  };
}

/** `value in container`. */
export function contains(value: CelValue, container: CelValue): CelValue {
  if (container instanceof CelList) {
    let problem: CelError | undefined;
    for (let index = 0; index < container.size; index++) {
      const equal = equalValues(container.at(index), value);
      if (equal === true) return true;
      if (equal !== false) problem ??= equal;
    }
    return problem ?? false;
  }
  if (container instanceof CelMap) return container.has(value);
  return container instanceof CelError ? container : NO_SUCH_OVERLOAD;
}

const NO_SIZE = noOverload("size");

/** `size(value)`. */
export function size(value: CelValue): CelValue {
  return typeof value === "string" || value instanceof CelList || value instanceof CelMap || value instanceof CelBytes
    ? sizeForCost(value)
    : isReceiver(value)
      ? NO_SUCH_OVERLOAD
      : NO_SIZE;
}
