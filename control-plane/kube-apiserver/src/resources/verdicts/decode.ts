import type { Draft } from "@coracle/apimachinery";
import type { Decode } from "./verdict.ts";

function tidy(value: unknown): unknown {
  if (Array.isArray(value)) {
    const sample: unknown = value.find((v) => v !== null);
    return value.map((v) => (v === null ? (typeof sample === "string" ? "" : {}) : tidy(v)));
  }
  if (typeof value !== "object" || value === null) return value;
  const out: Draft = {};
  for (const [k, v] of Object.entries(value)) if (v !== null) out[k] = tidy(v);
  return out;
}

/** Interim: takes nulls away. */
export const decodeStrictly: Decode = (_definition, value) => tidy(value) as Draft;
