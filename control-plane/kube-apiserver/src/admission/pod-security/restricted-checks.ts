import { containersThat, named, plural, quoted, setters, sortedSet, type PodCheck } from "./pod-view.ts";
import { seccompProfile } from "./baseline-checks.ts";

/** A rule that pods for Windows cannot follow. */
export const unlessWindows =
  (check: PodCheck): PodCheck =>
  (pod) =>
    pod.spec.os?.name === "windows" ? undefined : check(pod);

export const allowPrivilegeEscalation: PodCheck = (pod) => {
  const bad = containersThat(pod, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false);
  if (bad.length === 0) return undefined;
  return {
    reason: "allowPrivilegeEscalation != false",
    detail: `${named(bad)} must set securityContext.allowPrivilegeEscalation=false`,
  };
};

export const droppedCapabilities: PodCheck = (pod) => {
  const found: string[] = [];
  const undropped = containersThat(
    pod,
    ({ securityContext }) => !(securityContext?.capabilities?.drop ?? []).includes("ALL"),
  );
  const adding = containersThat(pod, ({ securityContext }) => {
    const more = (securityContext?.capabilities?.add ?? []).filter((one) => one !== "NET_BIND_SERVICE");
    found.push(...more);
    return more.length > 0;
  });
  if (undropped.length === 0 && adding.length === 0) return undefined;
  const details = [
    ...(undropped.length > 0 ? [`${named(undropped)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(adding.length > 0
      ? [`${named(adding)} must not include ${quoted(sortedSet(found))} in securityContext.capabilities.add`]
      : []),
  ];
  return { reason: "unrestricted capabilities", detail: details.join("; ") };
};

const VOLUME_TYPES: readonly string[] = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

export const restrictedVolumes: PodCheck = ({ spec }) => {
  const names: string[] = [];
  const types: string[] = [];
  for (const volume of spec.volumes ?? []) {
    const sources = Object.entries(volume)
      .filter(([key, value]) => key !== "name" && value !== undefined && value !== null)
      .map(([key]) => key);
    if (sources.some((type) => VOLUME_TYPES.includes(type))) continue;
    names.push(volume.name);
    types.push(sources[0] ?? "unknown");
  }
  if (names.length === 0) return undefined;
  const all = sortedSet(types);
  return {
    reason: "restricted volume types",
    detail: `${plural("volume", "volumes", names.length)} ${quoted(names)} ${plural("uses", "use", names.length)} ${plural("restricted volume type", "restricted volume types", all.length)} ${quoted(all)}`,
  };
};

export const runAsNonRoot: PodCheck = (pod) => {
  const reason = "runAsNonRoot != true";
  const ofPod = pod.spec.securityContext?.runAsNonRoot;
  const bad = containersThat(pod, ({ securityContext }) => securityContext?.runAsNonRoot === false);
  if (ofPod === false || bad.length > 0) {
    return { reason, detail: `${setters(ofPod === false, bad)} must not set securityContext.runAsNonRoot=false` };
  }
  if (ofPod === true) return undefined;
  const silent = containersThat(
    pod,
    ({ securityContext }) => (securityContext?.runAsNonRoot ?? undefined) === undefined,
  );
  if (silent.length === 0) return undefined;
  return { reason, detail: `pod or ${named(silent)} must set securityContext.runAsNonRoot=true` };
};

export const runAsUser: PodCheck = (pod) => {
  const isPodBad = pod.spec.securityContext?.runAsUser === 0;
  const bad = containersThat(pod, ({ securityContext }) => securityContext?.runAsUser === 0);
  if (!isPodBad && bad.length === 0) return undefined;
  return { reason: "runAsUser=0", detail: `${setters(isPodBad, bad)} must not set runAsUser=0` };
};

/** Profiles must be set, for the pod or for each container. */
export const seccompProfileSet: PodCheck = (pod) => {
  const wrong = seccompProfile(pod);
  if (wrong !== undefined) return wrong;
  if ((pod.spec.securityContext?.seccompProfile ?? undefined) !== undefined) return undefined;
  const silent = containersThat(
    pod,
    ({ securityContext }) => (securityContext?.seccompProfile ?? undefined) === undefined,
  );
  if (silent.length === 0) return undefined;
  return {
    reason: "seccompProfile",
    detail: `pod or ${named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
};
