import { randomUUID } from "node:crypto";
import { randomSuffix, type Random } from "@coracle/base";
import type { ApiDraft, ApiObject } from "./resource-definition.ts";

const MAX_GENERATED_BASE = 58;

/** RFC 3339 in UTC, whole seconds: how the API writes times. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A name out of `generateName`. */
export function generateName(stem: string, random: Random): string {
  return stem.slice(0, MAX_GENERATED_BASE) + randomSuffix(random);
}

/** What the server decides of a new object's metadata. */
export function fillNewMeta(draft: ApiDraft, now: number): void {
  const { metadata } = draft;
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.selfLink;
  delete metadata.resourceVersion;
  metadata.creationTimestamp = formatTime(now);
  metadata.uid = randomUUID();
}

/** Brings back what an update cannot change and leaves unsaid. */
export function keepOldMeta(draft: ApiDraft, old: ApiObject): void {
  const { metadata } = draft;
  const before = old.metadata;
  delete metadata.selfLink;
  if (before.generation === undefined) delete metadata.generation;
  else metadata.generation = before.generation;
  metadata.uid = metadata.uid === undefined || metadata.uid === "" ? before.uid : metadata.uid;
  if (before.creationTimestamp !== undefined) metadata.creationTimestamp = before.creationTimestamp;
  if (before.deletionTimestamp !== undefined) metadata.deletionTimestamp = before.deletionTimestamp;
  else delete metadata.deletionTimestamp;
  if (before.deletionGracePeriodSeconds === undefined) delete metadata.deletionGracePeriodSeconds;
  else metadata.deletionGracePeriodSeconds ??= before.deletionGracePeriodSeconds;
}
