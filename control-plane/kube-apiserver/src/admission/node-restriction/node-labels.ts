type Labels = Readonly<Record<string, string>> | undefined;

const RESTRICTED = "node-restriction.kubernetes.io";
/** Of Kubernetes' own labels those that a kubelet sets. */
const KUBELET_LABELS: ReadonlySet<string> = new Set([
  "kubernetes.io/hostname",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
]);
const KUBELET_DOMAINS = ["kubelet.kubernetes.io", "node.kubernetes.io"];

const isIn = (domain: string, parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`);

function isForbidden(key: string): boolean {
  const domain = key.includes("/") ? (key.split("/")[0] ?? "") : "";
  if (isIn(domain, RESTRICTED)) return true;
  const isOurs = isIn(domain, "kubernetes.io") || isIn(domain, "k8s.io");
  return isOurs && !KUBELET_LABELS.has(key) && !KUBELET_DOMAINS.some((parent) => isIn(domain, parent));
}

/** Labels that changed and are not a kubelet's to change, in order. */
export function forbiddenLabels(now: Labels, old: Labels): readonly string[] {
  const keys = new Set([...Object.keys(now ?? {}), ...Object.keys(old ?? {})]);
  return [...keys].filter((key) => now?.[key] !== old?.[key] && isForbidden(key)).toSorted();
}
