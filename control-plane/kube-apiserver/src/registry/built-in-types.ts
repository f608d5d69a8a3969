import { decodeKubernetes, isKubernetesProtobuf } from "@coracle/api";
import {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicMergePatch,
  builtInSchema,
  mergeTypeOf,
  wrapIntegers,
  type Draft,
  type Json,
} from "@coracle/apimachinery";
import { readJsonValue, type ValueReader } from "../storage/stored-version.ts";
import type { PatchPort } from "./patch-verb.ts";
import type { ApiDraft } from "./resource-definition.ts";
import type { SchemaPort } from "./schema-port.ts";

/** The schema engine over the API tables, as the registry uses it. Compiles types as they are met. */
export function createBuiltInSchemaPort(): SchemaPort {
  const engine = builtInSchema();
  return {
    isSettled: true,
    decode(type, value) {
      const { object, unknownFields } = engine.decodeKind(type, value);
      return { object, strict: unknownFields };
    },
    wrapIntegers(type, value) {
      const schema = engine.findKind(type);
      return schema === undefined ? value : (wrapIntegers(schema, value) as Draft);
    },
    mergeType(type) {
      const schema = engine.findKind(type);
      return schema === undefined ? undefined : mergeTypeOf(schema);
    },
  };
}

/** Patches of built-in kinds. */
export const builtInPatches: PatchPort = (kind, type, value, patch) => {
  switch (kind) {
    case "json":
      return applyJsonPatch(value, patch) as Json;
    case "merge":
      return applyMergePatch(value, patch) as Json;
    case "strategic": {
      const schema = builtInSchema().findKind(type);
      if (schema === undefined) throw new Error(`the API tables have no type ${type.kind}`);
      return applyStrategicMergePatch(schema, value, patch) as Json;
    }
  }
};

/** Reads our JSON values, and the binary ones that an upstream server left. */
export const readBuiltInValue: ValueReader = (value) => {
  if (!isKubernetesProtobuf(value)) return readJsonValue(value);
  const object = decodeKubernetes(value);
  const [group, version] = splitVersion(String(object["apiVersion"]));
  const type = { group, version, kind: String(object["kind"]) };
  // What an upstream server keeps for itself, such as the ports that it gave out, has no schema.
  if (builtInSchema().findKind(type) === undefined) return object as ApiDraft;
  return builtInSchema().decodeKind(type, object).object as ApiDraft;
};

function splitVersion(apiVersion: string): readonly [string, string] {
  const slash = apiVersion.indexOf("/");
  return slash === -1 ? ["", apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
}
