import type { AdmissionAttributes } from "../registry/registry.ts";

/** The parts of a pod's spec that admission changes. */
export interface MutablePodSpec {
  containers: Record<string, unknown>[];
  initContainers?: Record<string, unknown>[];
  volumes?: Record<string, unknown>[];
  tolerations?: Record<string, unknown>[];
  imagePullSecrets?: { name: string }[];
  serviceAccountName?: string;
  serviceAccount?: string;
  automountServiceAccountToken?: boolean;
  priorityClassName?: string;
  priority?: number;
  preemptionPolicy?: string;
  runtimeClassName?: string;
  overhead?: Record<string, string>;
  nodeSelector?: Record<string, string>;
  nodeName?: string;
  resources?: Record<string, unknown>;
}

/** The spec of the pod being written. */
export function podSpecOf(attributes: AdmissionAttributes): MutablePodSpec | undefined {
  return attributes.object?.["spec"] as MutablePodSpec | undefined;
}
