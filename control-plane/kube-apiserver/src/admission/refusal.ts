import { forbidden } from "@coracle/apimachinery";
import type { AdmissionAttributes } from "../registry/registry.ts";

/** The 403 with which a plugin refuses a request: it names what was to be written. */
export function refusalOf({ group, resource, name, object }: AdmissionAttributes, why: string): Error {
  const { name: own, generateName } = (object?.metadata ?? {}) as Readonly<Record<string, string | undefined>>;
  const known = [name, own, generateName].find((text) => text !== undefined && text !== "");
  return forbidden({ group, resource }, known ?? "Unknown", why);
}
