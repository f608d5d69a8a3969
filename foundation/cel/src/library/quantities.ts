import {
  addQuantities,
  compareQuantities,
  parseQuantity,
  quantityOf,
  QuantityError,
  subtractQuantities,
  type Quantity,
} from "@coracle/apimachinery";
import type { FunctionDeclaration } from "../check/environment.ts";
import { BOOL, DOUBLE, INT, STRING, objectType } from "../types/cel-type.ts";
import { CelDouble, CelError, CelOpaque, normalInt, type CelValue } from "../values/value.ts";
import { define, member, overload } from "./define.ts";

const QUANTITY = objectType("kubernetes.Quantity");
const NANO = 1_000_000_000n;
/** Numbers of more digits are kept in another way upstream, which is no integer even where it fits. */
const EXACT = 10n ** 18n;

class QuantityValue extends CelOpaque {
  readonly type = QUANTITY;
  readonly quantity: Quantity;
  constructor(quantity: Quantity) {
    super();
    this.quantity = quantity;
  }
  equals(other: CelOpaque): boolean {
    return other instanceof QuantityValue && compareQuantities(this.quantity, other.quantity) === 0;
  }
}

function of(value: CelValue | undefined): Quantity {
  return (value as QuantityValue).quantity;
}

function parse(text: CelValue | undefined): CelValue {
  try {
    return new QuantityValue(parseQuantity(text as string));
  } catch (error) {
    if (!(error instanceof QuantityError)) throw error;
    return new CelError(error.message);
  }
}

/** The whole number of a quantity, where it is one of 64 bits. */
function whole(value: CelValue | undefined): number | bigint | undefined {
  const { nano } = of(value);
  const integer = nano / NANO;
  return integer * NANO === nano && integer > -EXACT && integer < EXACT ? normalInt(integer) : undefined;
}

function comparison(name: string, id: string, holds: (order: number) => boolean): FunctionDeclaration {
  return define(
    name,
    member(id, [QUANTITY, QUANTITY], BOOL, ([a, b]) => holds(compareQuantities(of(a), of(b)))),
  );
}

function arithmetic(name: string, combine: (a: Quantity, b: Quantity) => Quantity): FunctionDeclaration {
  return define(
    name,
    member(`quantity_${name}`, [QUANTITY, QUANTITY], QUANTITY, ([a, b]) => new QuantityValue(combine(of(a), of(b)))),
    member(
      `quantity_${name}_int`,
      [QUANTITY, INT],
      QUANTITY,
      ([a, b]) => new QuantityValue(combine(of(a), quantityOf(b as number | bigint, "DecimalExponent"))),
    ),
  );
}

/** The functions of quantities. */
export const QUANTITIES: readonly FunctionDeclaration[] = [
  define(
    "quantity",
    overload("string_to_quantity", [STRING], QUANTITY, ([text]) => parse(text)),
  ),
  define(
    "isQuantity",
    overload("is_quantity_string", [STRING], BOOL, ([text]) => !(parse(text) instanceof CelError)),
  ),
  define(
    "sign",
    overload("quantity_sign", [QUANTITY], INT, ([value]) => (of(value).nano > 0n ? 1 : of(value).nano < 0n ? -1 : 0)),
  ),
  comparison("isGreaterThan", "quantity_is_greater_than", (order) => order > 0),
  comparison("isLessThan", "quantity_is_less_than", (order) => order < 0),
  define(
    "compareTo",
    member("quantity_compare_to", [QUANTITY, QUANTITY], INT, ([a, b]) => compareQuantities(of(a), of(b))),
  ),
  define(
    "asApproximateFloat",
    member("quantity_get_float", [QUANTITY], DOUBLE, ([value]) => new CelDouble(Number(of(value).nano) / 1e9)),
  ),
  define(
    "asInteger",
    member(
      "quantity_get_int",
      [QUANTITY],
      INT,
      ([value]) => whole(value) ?? new CelError("cannot convert value to integer"),
    ),
  ),
  define(
    "isInteger",
    member("quantity_is_integer", [QUANTITY], BOOL, ([value]) => whole(value) !== undefined),
  ),
  arithmetic("add", addQuantities),
  arithmetic("sub", subtractQuantities),
];
