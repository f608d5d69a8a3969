import { createHash } from "node:crypto";

/** What discovery says of how objects are stored: changes when that does. */
export function storageVersionHash(group: string, version: string, kind: string): string {
  return createHash("sha256").update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString("base64");
}
