import type { CELDeviceSelector } from "@coracle/api/resource/v1";
import { invalidValue, required, type FieldError } from "@coracle/apimachinery";
import { celProblem, isLiteral } from "../validation/cel-check.ts";
import { text, type Decoded } from "../validation/decoded.ts";

const DEVICE = new Set(["driver", "attributes", "capacity", "allowMultipleAllocations"]);
const MAX_LENGTH = 10_240;

/** Expressions that choose devices. */
export function validateDeviceSelectors(
  errors: FieldError[],
  path: string,
  selectors: readonly { readonly cel?: Decoded<CELDeviceSelector> | undefined }[] | undefined,
): void {
  selectors?.forEach((selector, i) => {
    const at = `${path}[${i}].cel`;
    if (selector.cel === undefined) {
      errors.push(required(at));
      return;
    }
    const expression = text(selector.cel.expression);
    if (expression.length > MAX_LENGTH) {
      errors.push({
        type: "FieldValueTooLong",
        field: `${at}.expression`,
        message: `Too long: may not be more than ${MAX_LENGTH} bytes`,
      });
      return;
    }
    const problem = isLiteral(expression) ? "must evaluate to bool" : celProblem(expression, { device: DEVICE });
    if (problem !== undefined) errors.push(invalidValue(`${at}.expression`, expression, problem));
  });
}
