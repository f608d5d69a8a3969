import { builtInSchema, isStatusError, type Draft } from "@coracle/apimachinery";
import type { Decode } from "./verdict.ts";

/** Reads an object as the registry does under fieldValidation=Strict: what it refuses there is undefined here. */
export const decodeStrictly: Decode = (definition, value) => {
  try {
    const { group, version, kind } = definition;
    const decoded = builtInSchema().decodeKind({ group, version, kind }, value);
    return decoded.unknownFields.length > 0 ? undefined : (decoded.object as Draft);
  } catch (error) {
    if (isStatusError(error)) return undefined;
    throw error;
  }
};
