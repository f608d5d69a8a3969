import type { ResourceCore } from "./resource-core.ts";

const NONE: readonly string[] = [];
const STATUS: readonly string[] = ["status"];
const SPEC: readonly string[] = ["spec"];

/** Members that a way of writing sets back whatever is sent, and that a writer on this way therefore does not own. */
export function resetFieldsOf(core: ResourceCore, subresource: string): readonly string[] {
  if (subresource === "status") return SPEC;
  return core.entry.subresources?.["status"] === undefined ? NONE : STATUS;
}
