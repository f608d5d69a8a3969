import type { Draft, MergeType } from "@coracle/apimachinery";
import type { TypeName } from "./resource-catalog.ts";

/** What the registry needs of the schema engine. */
export interface SchemaPort {
  /**
   * Checks a JSON value against the type and brings it in its normal form: unknown fields and nulls dropped, quantities
   * and times canonical, the schema's own defaults set. Problems that do not stop decoding (unknown and duplicate
   * fields) come back as texts; others throw an Error whose message tells them as upstream's decoder does.
   */
  decode(type: TypeName, value: Draft): { readonly object: Draft; readonly strict: readonly string[] };
  /** An object that was decoded once is in its normal form for good: what stays of it need not be decoded again. */
  readonly isSettled?: boolean;
  /** Judges the type that a value names, by itself. Throws a StatusError. Absent: it must be the expected one. */
  checkType?(type: TypeName, value: Draft): void;
  /** Repeated members are told before unknown ones, not in the order of the text: custom resources. */
  readonly tellsRepeatedFirst?: boolean;
  /** The value with integers cut to the bits that their members have. Absent: its integers have all bits. */
  wrapIntegers?(type: TypeName, value: Draft): Draft;
  /** How objects of the type are owned and merged by server-side apply. Absent: as far as their values tell. */
  mergeType?(type: TypeName): MergeType | undefined;
}
