import type { NodeSelectorTerm } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { isLabelValue } from "@coracle/apimachinery";
import { text, type Decoded } from "../validation/decoded.ts";

const insteadUse = (since: string, label: string): string => `deprecated since ${since}; use "${label}" instead`;

const OLD_LABELS: ReadonlyMap<string, string> = new Map([
  ["beta.kubernetes.io/arch", insteadUse("v1.14", "kubernetes.io/arch")],
  ["beta.kubernetes.io/os", insteadUse("v1.14", "kubernetes.io/os")],
  ["failure-domain.beta.kubernetes.io/region", insteadUse("v1.17", "topology.kubernetes.io/region")],
  ["failure-domain.beta.kubernetes.io/zone", insteadUse("v1.17", "topology.kubernetes.io/zone")],
  ["beta.kubernetes.io/instance-type", insteadUse("v1.17", "node.kubernetes.io/instance-type")],
  ["app.kubernetes.io/created-by", "deprecated since v1.9"],
  ["scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"],
  ["node-role.kubernetes.io/master", 'use "node-role.kubernetes.io/control-plane" instead'],
]);

/** What to say of a node's label that has another name by now. */
export const oldLabelMessage = (label: string | undefined): string | undefined => OLD_LABELS.get(text(label));

interface Requirement {
  readonly key?: string | undefined;
}

const requirementWarnings = (path: string, requirements: readonly Requirement[] | undefined): string[] =>
  (requirements ?? []).flatMap(({ key }, i) => {
    const message = oldLabelMessage(key);
    return message === undefined ? [] : [`${path}[${i}].key: ${text(key)} is ${message}`];
  });

/** Old names of labels in a term that selects nodes. `checksValues`: values that no label can have are told of, too. */
export function warningsForTerm(path: string, term: Decoded<NodeSelectorTerm>, checksValues = false): string[] {
  const at = `${path}.matchExpressions`;
  if (!checksValues) return requirementWarnings(at, term.matchExpressions);
  return (term.matchExpressions ?? []).flatMap((requirement, i) => [
    ...requirementWarnings(at, [requirement]).map((warning) => warning.replace("[0].key", `[${i}].key`)),
    ...(requirement.values ?? []).flatMap((value, k) =>
      isLabelValue(value).map((message) => `${at}[${i}].values[${k}]: ${value} is invalid, ${message}`),
    ),
  ]);
}

/** Old names of labels in a selector of nodes. */
export function warningsForNodeSelector(path: string, selector: Decoded<LabelSelector> | undefined): string[] {
  const labels = Object.keys(selector?.matchLabels ?? {}).flatMap((label) => {
    const message = oldLabelMessage(label);
    return message === undefined ? [] : [`${path}.matchLabels.${label}: ${message}`];
  });
  return [...requirementWarnings(`${path}.matchExpressions`, selector?.matchExpressions), ...labels];
}
