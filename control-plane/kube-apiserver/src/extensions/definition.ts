import type {
  CustomResourceDefinition,
  CustomResourceDefinitionCondition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionVersion,
} from "@coracle/api/apiextensions/v1";
import { isObject, type Draft } from "@coracle/apimachinery";
import { formatTime } from "../registry/object-meta.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";

/** Holds a definition back until its objects are gone. */
export const CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io";

/** Where definitions are. */
export const DEFINITIONS = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
} as const;

/** A stored definition, read as what it is: stored definitions have passed validation. */
export const definitionOf = (object: ApiObject): CustomResourceDefinition =>
  object as unknown as CustomResourceDefinition;

/** One of the definition's conditions. */
export function conditionOf(
  crd: CustomResourceDefinition,
  type: string,
): CustomResourceDefinitionCondition | undefined {
  return crd.status?.conditions?.find((condition) => condition.type === type);
}

/** Whether a condition is there and true. */
export const isTrue = (crd: CustomResourceDefinition, type: string): boolean =>
  conditionOf(crd, type)?.status === "True";

/** The conditions with one set: its time changes with its status alone. */
export function setCondition(
  conditions: readonly CustomResourceDefinitionCondition[] | undefined,
  condition: Omit<CustomResourceDefinitionCondition, "lastTransitionTime">,
  now: number,
): CustomResourceDefinitionCondition[] {
  const list = [...(conditions ?? [])];
  const at = list.findIndex(({ type }) => type === condition.type);
  const before = list[at];
  const isSame = before?.status === condition.status && before.lastTransitionTime !== undefined;
  const next = { lastTransitionTime: isSame ? before.lastTransitionTime : formatTime(now), ...condition };
  if (at === -1) list.push(next as CustomResourceDefinitionCondition);
  else list[at] = { ...before, ...next } as CustomResourceDefinitionCondition;
  return list;
}

/** Marks a definition for deletion: its objects go first. */
export function holdForCleanup(draft: ApiDraft, now: number): void {
  const { metadata } = draft;
  metadata.deletionTimestamp = formatTime(now);
  const finalizers = (metadata.finalizers as string[] | undefined) ?? [];
  if (!finalizers.includes(CLEANUP_FINALIZER)) metadata.finalizers = [...finalizers, CLEANUP_FINALIZER];
  const status: Draft = isObject(draft.status) ? { ...draft.status } : {};
  status.conditions = setCondition(
    (status.conditions as CustomResourceDefinitionCondition[] | null | undefined) ?? [],
    {
      type: "Terminating",
      status: "True",
      reason: "InstanceDeletionPending",
      message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    },
    now,
  );
  draft.status = status;
}

/** The names of a custom resource, none of them left open. */
export type AcceptedNames = {
  readonly [K in keyof CustomResourceDefinitionNames]-?: NonNullable<CustomResourceDefinitionNames[K]>;
};

/** The names a definition may use: those that were accepted. */
export function acceptedNames(crd: CustomResourceDefinition): AcceptedNames {
  const names = crd.status?.acceptedNames;
  const kind = names?.kind ?? "";
  return {
    plural: names?.plural ?? "",
    singular: names?.singular ?? kind.toLowerCase(),
    kind,
    listKind: names?.listKind ?? `${kind}List`,
    shortNames: names?.shortNames ?? [],
    categories: names?.categories ?? [],
  };
}

/** The version that objects are stored in. */
export function storageVersionOf(crd: CustomResourceDefinition): string {
  return crd.spec.versions.find(({ storage }) => storage)?.name ?? "";
}

const VERSION = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/;
const STAGES: Readonly<Record<string, number>> = { alpha: 0, beta: 1, "": 2 };

/** Best first: GA before beta before alpha, newer before older, and what is no version number last, by name. */
export function compareVersions(a: string, b: string): number {
  const left = VERSION.exec(a);
  const right = VERSION.exec(b);
  if (left === null || right === null) {
    if (left !== null) return -1;
    if (right !== null) return 1;
    return a < b ? -1 : a > b ? 1 : 0;
  }
  const stage = (match: RegExpExecArray): number => STAGES[match[2] ?? ""] ?? 0;
  return (
    stage(right) - stage(left) || Number(right[1]) - Number(left[1]) || Number(right[3] ?? 0) - Number(left[3] ?? 0)
  );
}

/** What whoever uses a version on its way out is told; undefined for the others. */
export function deprecationOf(
  crd: CustomResourceDefinition,
  version: CustomResourceDefinitionVersion,
): string | undefined {
  if (version.deprecated !== true) return undefined;
  if (version.deprecationWarning !== undefined) return version.deprecationWarning;
  const { group, names, versions } = crd.spec;
  const text = `${group}/${version.name} ${names.kind} is deprecated`;
  const better = versions
    .filter((one) => one.served && one.deprecated !== true && compareVersions(one.name, version.name) < 0)
    .map(({ name }) => name)
    .sort(compareVersions);
  return better[0] === undefined ? text : `${text}; use ${group}/${better[0]} ${names.kind}`;
}
