import type { CELDeviceSelector } from "@coracle/api/resource/v1";
import { required, type FieldError } from "@coracle/apimachinery";
import { validateDeviceExpression } from "../validation/expressions.ts";
import { text, type Decoded } from "../validation/decoded.ts";

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
    validateDeviceExpression(errors, `${at}.expression`, expression);
  });
}
