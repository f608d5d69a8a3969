import type { Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration } from "@coracle/api/core/v1";
import { tolerates } from "../taint-eviction/plan.ts";

const PREFIX = "node.kubernetes.io/";

/** Troubles of a node that its daemons are there to live with. */
export function daemonTolerations(spec: PodSpec): readonly Toleration[] {
  const tolerations: Toleration[] = [
    { key: `${PREFIX}not-ready`, operator: "Exists", effect: "NoExecute" },
    { key: `${PREFIX}unreachable`, operator: "Exists", effect: "NoExecute" },
    { key: `${PREFIX}disk-pressure`, operator: "Exists", effect: "NoSchedule" },
    { key: `${PREFIX}memory-pressure`, operator: "Exists", effect: "NoSchedule" },
    { key: `${PREFIX}pid-pressure`, operator: "Exists", effect: "NoSchedule" },
    { key: `${PREFIX}unschedulable`, operator: "Exists", effect: "NoSchedule" },
  ];
  if (spec.hostNetwork === true)
    tolerations.push({ key: `${PREFIX}network-unavailable`, operator: "Exists", effect: "NoSchedule" });
  return tolerations;
}

/** `tolerations` with those of daemons that are not among them. */
export function withDaemonTolerations(spec: PodSpec): readonly Toleration[] {
  const present = spec.tolerations ?? [];
  const missing = daemonTolerations(spec).filter(
    (each) =>
      !present.some(
        (known) => known.key === each.key && known.effect === each.effect && known.operator === each.operator,
      ),
  );
  return [...present, ...missing];
}

/** Should a daemon be started on the node, and may one that runs there stay? */
export function eligibility(spec: PodSpec, node: Node): { readonly shouldRun: boolean; readonly mayStay: boolean } {
  const no = { shouldRun: false, mayStay: false };
  if (spec.nodeName !== undefined && spec.nodeName !== "" && spec.nodeName !== node.metadata.name) return no;
  if (!matchesAffinity(spec, node)) return no;
  const tolerations = withDaemonTolerations(spec);
  const repelling = (node.spec?.taints ?? []).filter(
    (taint) => taint.effect !== "PreferNoSchedule" && !tolerations.some((each) => tolerates(each, taint)),
  );
  return {
    shouldRun: repelling.length === 0,
    mayStay: !repelling.some((taint) => taint.effect === "NoExecute"),
  };
}

function matchesAffinity(spec: PodSpec, node: Node): boolean {
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {}))
    if (node.metadata.labels?.[key] !== value) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node));
}

function matchesTerm(term: NodeSelectorTerm, node: Node): boolean {
  const { matchExpressions = [], matchFields = [] } = term;
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchExpressions.every((each) => meets(each, node.metadata.labels?.[each.key])) &&
    matchFields.every((each) => each.key === "metadata.name" && meets(each, node.metadata.name))
  );
}

function meets({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
      return value !== undefined && /^-?\d+$/.test(value) && Number(value) > Number(values[0]);
    case "Lt":
      return value !== undefined && /^-?\d+$/.test(value) && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

/** The node that a daemon's pod is meant for, before and after it is bound. */
export function targetNode(pod: Pod): string | undefined {
  if ((pod.spec.nodeName ?? "") !== "") return pod.spec.nodeName;
  const terms =
    pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const term of terms)
    for (const { key, operator, values = [] } of term.matchFields ?? [])
      if (key === "metadata.name" && operator === "In" && values.length === 1) return values[0];
  return undefined;
}

/** The template's spec, bound to one node for the scheduler and tolerating what daemons tolerate. */
export function specForNode(spec: PodSpec, nodeName: string): PodSpec {
  const term = { matchFields: [{ key: "metadata.name", operator: "In", values: [nodeName] }] };
  return {
    ...spec,
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...spec.affinity?.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] },
      },
    },
    tolerations: withDaemonTolerations(spec),
  };
}
