import type { Pod } from "@coracle/api/core/v1";
import type { ApiDraft } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";

interface LabelKeys {
  labelSelector?: { matchExpressions?: { key: string; operator: string; values: string[] }[] };
  readonly matchLabelKeys?: readonly string[];
  readonly mismatchLabelKeys?: readonly string[];
}

/**
 * What a new pod's `matchLabelKeys` and `mismatchLabelKeys` stand for goes into the selectors beside them, by the labels that
 * it has now: who reads pods need not know of them.
 */
export function mergeLabelKeys(draft: ApiDraft): void {
  const { metadata, spec } = as<Pod>(draft);
  const labels = metadata?.labels ?? {};
  const merge = (owner: unknown): void => {
    const { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] } = (owner ?? {}) as LabelKeys;
    if (labelSelector === undefined) return;
    const added = (keys: readonly string[], operator: string) =>
      keys.flatMap((key) => {
        const value = labels[key];
        return value === undefined ? [] : [{ key, operator, values: [value] }];
      });
    const all = [...added(matchLabelKeys, "In"), ...added(mismatchLabelKeys, "NotIn")];
    if (all.length > 0) labelSelector.matchExpressions = [...(labelSelector.matchExpressions ?? []), ...all];
  };
  for (const affinity of [spec?.affinity?.podAffinity, spec?.affinity?.podAntiAffinity]) {
    for (const wish of affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []) merge(wish.podAffinityTerm);
    for (const term of affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) merge(term);
  }
  for (const constraint of spec?.topologySpreadConstraints ?? []) merge(constraint);
}
