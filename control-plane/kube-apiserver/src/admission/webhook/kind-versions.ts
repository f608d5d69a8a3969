import { cloneJson, type Draft } from "@coracle/apimachinery";
import { conversionOf } from "../../registry/conversion/conversions.ts";
import { readResourceCatalog, type ResourceEntry, type TypeName } from "../../registry/resource-catalog.ts";
import type { AdmissionAttributes, AdmissionVersions, ServedVersion } from "../../registry/registry.ts";
import type { ApiDraft, ApiObject } from "../../registry/resource-definition.ts";

const NONE: readonly ServedVersion[] = [];

/** Under which other names and versions resources are served, and how their objects look there. */
export interface KindVersions {
  /** Without the request's own. */
  equivalents(attributes: AdmissionAttributes): readonly ServedVersion[];
  convert(attributes: AdmissionAttributes, object: Draft, to: TypeName): Draft | Promise<Draft>;
}

const versionOf = ({ group, version }: TypeName): string => (group === "" ? version : `${group}/${version}`);

/** Of built-in kinds: what is stored under one prefix. */
function builtInVersions(): AdmissionVersions {
  let byPrefix: Map<string, ResourceEntry[]> | undefined;
  const known = new Map<string, readonly ResourceEntry[]>();
  const entriesOf = (group: string, resource: string): readonly ResourceEntry[] => {
    const key = `${group}/${resource}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    if (byPrefix === undefined) {
      byPrefix = new Map();
      for (const entry of readResourceCatalog()) {
        if (entry.etcdPrefix === undefined) continue;
        const list = byPrefix.get(entry.etcdPrefix);
        if (list === undefined) byPrefix.set(entry.etcdPrefix, [entry]);
        else list.push(entry);
      }
    }
    const all = [...byPrefix.values()].find((list) =>
      list.some((one) => one.group === group && one.plural === resource),
    );
    known.set(key, all ?? []);
    return all ?? [];
  };
  return {
    equivalents(group, resource, subresource) {
      return entriesOf(group, resource).flatMap((entry) => {
        const kind = subresource === "" ? entry : entry.subresources?.[subresource];
        if (kind === undefined) return [];
        const { group: kindGroup, version, kind: name } = kind;
        const own = { group: kindGroup, version, kind: name };
        return [{ group: entry.group, version: entry.version, resource: entry.plural, kind: own }];
      });
    },
    convert(group, resource, object, to) {
      const entries = entriesOf(group, resource);
      const apiVersion = object.apiVersion as string;
      const from = entries.find((entry) => versionOf(entry) === apiVersion);
      const target = entries.find((entry) => versionOf(entry) === versionOf(to));
      if (from === undefined || target === undefined) return { ...object, apiVersion: versionOf(to) };
      const stored = conversionOf(from, () => undefined)?.toStored(cloneJson(object) as ApiDraft) ?? object;
      return (conversionOf(target, () => undefined)?.fromStored(stored as ApiObject) ?? stored) as Draft;
    },
  };
}

/** Built-in kinds by the API tables, others by what their resource says of itself. */
export function createKindVersions(): KindVersions {
  const builtIn = builtInVersions();
  const versionsOf = ({ reading }: AdmissionAttributes): AdmissionVersions => reading?.versions ?? builtIn;
  return {
    equivalents(attributes) {
      const { group, version, resource, subresource } = attributes;
      const all = versionsOf(attributes).equivalents(group, resource, subresource);
      if (all.length < 2) return NONE;
      return all.filter((one) => one.group !== group || one.version !== version || one.resource !== resource);
    },
    convert: (attributes, object, to) =>
      versionsOf(attributes).convert(attributes.group, attributes.resource, object, to),
  };
}
