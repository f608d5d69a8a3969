import { StatefulSet } from "@coracle/api/apps/v1";
import type { PersistentVolumeClaim, Pod, PodTemplateSpec, Volume } from "@coracle/api/core/v1";
import { REVISION_HASH } from "../history/revisions.ts";
import { podFromTemplate } from "../pods/pod-control.ts";

export const POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name";
const POD_INDEX_LABEL = "apps.kubernetes.io/pod-index";

/** The ordinal in the name of one of the set's pods; undefined: not one of its names. */
export function ordinalOf(setName: string, podName: string | undefined): number | undefined {
  if (podName?.startsWith(`${setName}-`) !== true) return undefined;
  const text = podName.slice(setName.length + 1);
  return /^(0|[1-9]\d*)$/.test(text) ? Number(text) : undefined;
}

/** True when the set wants a pod of this ordinal. */
export function isInRange(set: StatefulSet, ordinal: number): boolean {
  const start = set.spec.ordinals?.start ?? 0;
  return ordinal >= start && ordinal < start + (set.spec.replicas ?? 1);
}

/** By which services and policies find a single pod of the set. */
export const identityLabels = (set: StatefulSet, ordinal: number): Readonly<Record<string, string>> => ({
  [POD_NAME_LABEL]: `${set.metadata.name}-${ordinal}`,
  [POD_INDEX_LABEL]: String(ordinal),
});

const claimName = (template: PersistentVolumeClaim, podName: string): string => `${template.metadata.name}-${podName}`;

/** The set's pod of this ordinal: its name, host name and storage are the same in every life. */
export function podForOrdinal(set: StatefulSet, ordinal: number, template: PodTemplateSpec, revision: string): Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  const pod = podFromTemplate(StatefulSet, set, template, { name });
  const claims = set.spec.volumeClaimTemplates ?? [];
  const claimed: readonly Volume[] = claims.map((claim) => ({
    name: claim.metadata.name ?? "",
    persistentVolumeClaim: { claimName: claimName(claim, name) },
  }));
  const names = new Set(claimed.map((volume) => volume.name));
  const volumes = [...(pod.spec.volumes ?? []).filter((volume) => !names.has(volume.name)), ...claimed];
  const { serviceName } = set.spec;
  return {
    metadata: {
      ...pod.metadata,
      labels: {
        ...pod.metadata.labels,
        ...identityLabels(set, ordinal),
        [REVISION_HASH]: revision,
      },
    },
    spec: {
      ...pod.spec,
      hostname: name,
      ...(serviceName === undefined || serviceName === "" ? {} : { subdomain: serviceName }),
      ...(volumes.length === 0 ? {} : { volumes }),
    },
  };
}

/** The claims that the pod of this ordinal needs. */
export function claimsForOrdinal(set: StatefulSet, ordinal: number): readonly PersistentVolumeClaim[] {
  const podName = `${set.metadata.name}-${ordinal}`;
  return (set.spec.volumeClaimTemplates ?? []).map((template) => ({
    metadata: {
      ...template.metadata,
      name: claimName(template, podName),
      namespace: set.metadata.namespace,
      labels: { ...template.metadata.labels, ...set.spec.selector.matchLabels },
    },
    spec: template.spec,
  }));
}
