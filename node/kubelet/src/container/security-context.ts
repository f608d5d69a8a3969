import type { Container, Pod, SeccompProfile } from "@coracle/api/core/v1";
import type {
  LinuxContainerSecurityContext,
  LinuxSandboxSecurityContext,
  NamespaceOption,
  SecurityProfile,
} from "@coracle/api/cri";

const MASKED_PATHS = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** Which namespaces of the node a pod shares. */
export function namespaceOptions(pod: Pod, targetId?: string): NamespaceOption {
  const spec = pod.spec;
  return {
    network: spec?.hostNetwork === true ? "NODE" : "POD",
    ipc: spec?.hostIPC === true ? "NODE" : "POD",
    pid:
      targetId !== undefined
        ? "TARGET"
        : spec?.hostPID === true
          ? "NODE"
          : spec?.shareProcessNamespace === true
            ? "POD"
            : "CONTAINER",
    ...(targetId === undefined ? {} : { targetId }),
  };
}

function seccomp(profile: SeccompProfile | undefined, isPrivileged: boolean, root: string): SecurityProfile {
  if (isPrivileged || profile === undefined || profile.type === "Unconfined") return { profileType: "Unconfined" };
  if (profile.type === "Localhost") {
    return { profileType: "Localhost", localhostRef: `${root}/seccomp/${profile.localhostProfile ?? ""}` };
  }
  return { profileType: "RuntimeDefault" };
}

export function sandboxSecurityContext(pod: Pod, rootFolder: string): LinuxSandboxSecurityContext {
  const context = pod.spec?.securityContext;
  const isPrivileged = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].some(
    (container) => container.securityContext?.privileged === true,
  );
  return {
    namespaceOptions: namespaceOptions(pod),
    privileged: isPrivileged,
    seccomp: seccomp(context?.seccompProfile ?? { type: "RuntimeDefault" }, false, rootFolder),
    ...(context?.runAsUser === undefined ? {} : { runAsUser: { value: context.runAsUser } }),
    ...(context?.runAsUser === undefined || context.runAsGroup === undefined
      ? {}
      : { runAsGroup: { value: context.runAsGroup } }),
    supplementalGroups: groups(pod),
    supplementalGroupsPolicy: context?.supplementalGroupsPolicy === "Strict" ? "Strict" : "Merge",
    ...(context?.seLinuxOptions === undefined ? {} : { selinuxOptions: context.seLinuxOptions }),
  };
}

function groups(pod: Pod): number[] {
  const context = pod.spec?.securityContext;
  return [...(context?.fsGroup === undefined ? [] : [context.fsGroup]), ...(context?.supplementalGroups ?? [])];
}

/** The container's settings over those of its pod. `imageUser` is what the image says, when nobody else does. */
export function containerSecurityContext(
  pod: Pod,
  container: Container,
  rootFolder: string,
  imageUser: { readonly uid?: number | undefined; readonly username?: string | undefined },
  targetId?: string,
): LinuxContainerSecurityContext {
  const ofPod = pod.spec?.securityContext;
  const own = container.securityContext;
  const isPrivileged = own?.privileged === true;
  const user = own?.runAsUser ?? ofPod?.runAsUser ?? imageUser.uid;
  const group = own?.runAsGroup ?? ofPod?.runAsGroup;
  const seLinux = own?.seLinuxOptions ?? ofPod?.seLinuxOptions;
  const appArmor = own?.appArmorProfile ?? ofPod?.appArmorProfile;
  const isUnmasked = isPrivileged || own?.procMount === "Unmasked";
  return {
    namespaceOptions: namespaceOptions(pod, targetId),
    privileged: isPrivileged,
    readonlyRootfs: own?.readOnlyRootFilesystem === true,
    noNewPrivs: own?.allowPrivilegeEscalation === false,
    ...(user === undefined ? {} : { runAsUser: { value: user } }),
    ...(user === undefined && imageUser.username !== undefined && imageUser.username !== ""
      ? { runAsUsername: imageUser.username }
      : {}),
    ...(group === undefined ? {} : { runAsGroup: { value: group } }),
    supplementalGroups: groups(pod),
    supplementalGroupsPolicy: ofPod?.supplementalGroupsPolicy === "Strict" ? "Strict" : "Merge",
    capabilities: {
      addCapabilities: own?.capabilities?.add ?? [],
      dropCapabilities: own?.capabilities?.drop ?? [],
    },
    seccomp: seccomp(own?.seccompProfile ?? ofPod?.seccompProfile, isPrivileged, rootFolder),
    ...(appArmor === undefined
      ? {}
      : {
          apparmor: {
            profileType: appArmor.type as NonNullable<SecurityProfile["profileType"]>,
            ...(appArmor.localhostProfile === undefined ? {} : { localhostRef: appArmor.localhostProfile }),
          },
        }),
    ...(seLinux === undefined ? {} : { selinuxOptions: seLinux }),
    ...(isUnmasked ? {} : { maskedPaths: MASKED_PATHS, readonlyPaths: READONLY_PATHS }),
  };
}

/** Why a container may not run under `runAsNonRoot`; undefined when it may. */
export function nonRootProblem(
  pod: Pod,
  container: Container,
  imageUser: { readonly uid?: number | undefined; readonly username?: string | undefined },
): string | undefined {
  const isAsked = container.securityContext?.runAsNonRoot ?? pod.spec?.securityContext?.runAsNonRoot;
  if (isAsked !== true) return undefined;
  const where = `(pod: "${pod.metadata.name ?? ""}_${pod.metadata.namespace ?? ""}(${pod.metadata.uid ?? ""})", container: ${container.name})`;
  const user = container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser;
  if (user !== undefined) {
    return user === 0 ? `container's runAsUser breaks non-root policy ${where}` : undefined;
  }
  if (imageUser.username !== undefined && imageUser.username !== "") {
    return `container has runAsNonRoot and image has non-numeric user (${imageUser.username}), cannot verify user is non-root ${where}`;
  }
  return imageUser.uid === undefined || imageUser.uid === 0
    ? `container has runAsNonRoot and image will run as root ${where}`
    : undefined;
}
