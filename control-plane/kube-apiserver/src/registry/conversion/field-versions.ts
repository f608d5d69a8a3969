import { cloneJson, type InVersion } from "@coracle/apimachinery";
import type { ResourceEntry } from "../resource-catalog.ts";
import type { ApiDraft, ApiObject } from "../resource-definition.ts";
import type { SchemaPort } from "../schema-port.ts";
import { conversionOf } from "./conversions.ts";

const versionOf = ({ group, version }: ResourceEntry): string => (group === "" ? version : `${group}/${version}`);

/** Versions that call fields by names of their own. */
const RENAMED: ReadonlySet<string> = new Set(["autoscaling/v1", "events.k8s.io/v1"]);

/** In which names the resource's fields are owned by those who write its other versions; undefined: in the same. */
export function fieldVersionsOf(
  entry: ResourceEntry,
  entries: readonly ResourceEntry[],
  schema: SchemaPort,
): InVersion | undefined {
  const all = entries.filter((other) => other.etcdPrefix === entry.etcdPrefix);
  if (!all.some((other) => RENAMED.has(versionOf(other)))) return undefined;
  const known = new Map<string, ReturnType<InVersion>>();
  const versionFor: InVersion = (apiVersion) => {
    const target = all.find((other) => versionOf(other) === apiVersion);
    const type = target === undefined ? undefined : schema.mergeType?.(target);
    if (target === undefined || type === undefined || target === entry) return undefined;
    // As upstream's: conversion for owners stays within the group.
    if (target.group !== entry.group) return "gone";
    const [own, other] = [entry, target].map((one) => conversionOf(one, () => undefined));
    return {
      type,
      convert(object) {
        const draft = cloneJson(object) as ApiDraft;
        const stored = (own?.toStored(draft) ?? draft) as ApiObject;
        const { apiVersion: _version, kind: _kind, ...members } = other?.fromStored(stored) ?? stored;
        return members;
      },
    };
  };
  return (apiVersion) => {
    if (!known.has(apiVersion)) known.set(apiVersion, versionFor(apiVersion));
    return known.get(apiVersion);
  };
}
