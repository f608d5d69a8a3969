import type { Container, LifecycleHandler, Probe, SELinuxOptions } from "@coracle/api/core/v1";
import { containersThat, named, plural, quoted, setters, sortedSet, type PodCheck } from "./pod-view.ts";

const APPARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_PREFIX = "container.seccomp.security.alpha.kubernetes.io/";

/** `KEY="VALUE"`. */
const annotation = (key: string, value: string): string => `${key}=${JSON.stringify(value)}`;
const isProfile = (type: string): boolean => type === "RuntimeDefault" || type === "Localhost";

export const appArmorProfile: PodCheck = (pod) => {
  const podType = pod.spec.securityContext?.appArmorProfile?.type;
  const values: string[] = [];
  const isPodBad = podType !== undefined && !isProfile(podType);
  if (isPodBad) values.push(podType);
  const bad = containersThat(pod, ({ securityContext }) => {
    const type = securityContext?.appArmorProfile?.type;
    if (type === undefined || isProfile(type)) return false;
    values.push(type);
    return true;
  });
  const annotations = Object.entries(pod.annotations)
    .filter(([key]) => key.startsWith(APPARMOR_PREFIX))
    .filter(([, value]) => value !== "" && value !== "runtime/default" && !value.startsWith("localhost/"))
    .map(([key, value]) => annotation(key, value))
    .toSorted();
  const all = [...sortedSet(values), ...annotations];
  const who = [setters(isPodBad, bad)].filter((text) => text !== "");
  if (annotations.length > 0) who.push(plural("annotation", "annotations", annotations.length));
  if (who.length === 0) return undefined;
  return {
    reason: plural("forbidden AppArmor profile", "forbidden AppArmor profiles", all.length),
    detail: `${who.join(" and ")} must not set AppArmor profile type to ${quoted(all)}`,
  };
};

const DEFAULT_CAPABILITIES: ReadonlySet<string> = new Set(
  (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID " +
    "SYS_CHROOT"
  ).split(" "),
);

export const defaultCapabilities: PodCheck = (pod) => {
  const found: string[] = [];
  const bad = containersThat(pod, ({ securityContext }) => {
    const more = (securityContext?.capabilities?.add ?? []).filter((one) => !DEFAULT_CAPABILITIES.has(one));
    found.push(...more);
    return more.length > 0;
  });
  if (bad.length === 0) return undefined;
  return {
    reason: "non-default capabilities",
    detail: `${named(bad)} must not include ${quoted(sortedSet(found))} in securityContext.capabilities.add`,
  };
};

export const hostNamespaces: PodCheck = ({ spec }) => {
  const set = (["hostNetwork", "hostPID", "hostIPC"] as const).filter((field) => spec[field] === true);
  if (set.length === 0) return undefined;
  return { reason: "host namespaces", detail: set.map((field) => `${field}=true`).join(", ") };
};

export const hostPathVolumes: PodCheck = ({ spec }) => {
  const names = (spec.volumes ?? [])
    .filter(({ hostPath }) => hostPath !== undefined && hostPath !== null)
    .map(({ name }) => name);
  if (names.length === 0) return undefined;
  return { reason: "hostPath volumes", detail: `${plural("volume", "volumes", names.length)} ${quoted(names)}` };
};

export const hostPorts: PodCheck = (pod) => {
  const ports: string[] = [];
  const bad = containersThat(pod, (container) => {
    const used = (container.ports ?? []).filter(({ hostPort }) => (hostPort ?? 0) !== 0);
    ports.push(...used.map(({ hostPort }) => String(hostPort)));
    return used.length > 0;
  });
  if (bad.length === 0) return undefined;
  const all = sortedSet(ports);
  return {
    reason: "hostPort",
    detail: `${named(bad)} ${plural("uses", "use", bad.length)} ${plural("hostPort", "hostPorts", all.length)} ${all.join(", ")}`,
  };
};

function hostsOf(handler: Probe | LifecycleHandler | undefined | null): string[] {
  return [handler?.httpGet?.host, handler?.tcpSocket?.host].filter(
    (host) => host !== undefined && host !== "",
  ) as string[];
}

const hostsOfContainer = ({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container): string[] =>
  [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].flatMap(hostsOf);

export const probeHosts: PodCheck = (pod) => {
  const bad = sortedSet(containersThat(pod, (container) => hostsOfContainer(container).length > 0));
  if (bad.length === 0) return undefined;
  const hosts = sortedSet(pod.containers.flatMap(hostsOfContainer));
  return {
    reason: "probe or lifecycle host",
    detail: `${named(bad)} ${plural("uses", "use", bad.length)} ${plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.length)} ${quoted(hosts)}`,
  };
};

export const privileged: PodCheck = (pod) => {
  const bad = containersThat(pod, ({ securityContext }) => securityContext?.privileged === true);
  if (bad.length === 0) return undefined;
  return { reason: "privileged", detail: `${named(bad)} must not set securityContext.privileged=true` };
};

export const procMount: PodCheck = (pod) => {
  const types: string[] = [];
  const bad = containersThat(pod, ({ securityContext }) => {
    const type = securityContext?.procMount;
    if (type === undefined || type === null || type === "Default") return false;
    types.push(type);
    return true;
  });
  if (bad.length === 0) return undefined;
  return {
    reason: "procMount",
    detail: `${named(bad)} must not set securityContext.procMount to ${quoted(sortedSet(types))}`,
  };
};

/** A rule that pods in a user namespace of their own need not follow. */
export const unlessInUserNamespace =
  (check: PodCheck): PodCheck =>
  (pod) =>
    pod.spec.hostUsers === false ? undefined : check(pod);

const SELINUX_TYPES = ["", "container_t", "container_init_t", "container_kvm_t"];

function seLinuxOptionsOf(allowed: ReadonlySet<string>): PodCheck {
  return (pod) => {
    const types: string[] = [];
    let isUserSet = false;
    let isRoleSet = false;
    const isBad = (options: SELinuxOptions | undefined | null): boolean => {
      if (options === undefined || options === null) return false;
      const { type = "", user = "", role = "" } = options;
      if (!allowed.has(type)) types.push(type);
      isUserSet ||= user !== "";
      isRoleSet ||= role !== "";
      return !allowed.has(type) || user !== "" || role !== "";
    };
    const isPodBad = isBad(pod.spec.securityContext?.seLinuxOptions);
    const bad = containersThat(pod, ({ securityContext }) => isBad(securityContext?.seLinuxOptions));
    if (!isPodBad && bad.length === 0) return undefined;
    const found = sortedSet(types);
    const what = [
      ...(found.length > 0 ? [`${plural("type", "types", found.length)} ${quoted(found)}`] : []),
      ...(isUserSet ? ["user may not be set"] : []),
      ...(isRoleSet ? ["role may not be set"] : []),
    ];
    return {
      reason: "seLinuxOptions",
      detail: `${setters(isPodBad, bad)} set forbidden securityContext.seLinuxOptions: ${what.join("; ")}`,
    };
  };
}

export const seLinuxOptions = seLinuxOptionsOf(new Set(SELINUX_TYPES));
export const seLinuxOptionsFrom31 = seLinuxOptionsOf(new Set([...SELINUX_TYPES, "container_engine_t"]));

const isSeccompAnnotation = (value: string): boolean =>
  value === "runtime/default" || value === "docker/default" || value.startsWith("localhost/");

export const seccompAnnotations: PodCheck = ({ annotations, containers }) => {
  const keys = [SECCOMP_POD, ...containers.map(({ name }) => `${SECCOMP_PREFIX}${name}`)];
  const bad = sortedSet(
    keys.flatMap((key) => {
      const value = annotations[key];
      return value === undefined || isSeccompAnnotation(value) ? [] : [annotation(key, value)];
    }),
  );
  if (bad.length === 0) return undefined;
  return {
    reason: "seccompProfile",
    detail: `forbidden ${plural("annotation", "annotations", bad.length)} ${bad.join(", ")}`,
  };
};

/** Profiles that are set and may not be. */
export const seccompProfile: PodCheck = (pod) => {
  const values: string[] = [];
  const isBad = (type: string | undefined): boolean => {
    if (type === undefined || isProfile(type)) return false;
    values.push(type);
    return true;
  };
  const isPodBad = isBad(pod.spec.securityContext?.seccompProfile?.type);
  const bad = containersThat(pod, ({ securityContext }) => isBad(securityContext?.seccompProfile?.type));
  if (!isPodBad && bad.length === 0) return undefined;
  return {
    reason: "seccompProfile",
    detail: `${setters(isPodBad, bad)} must not set securityContext.seccompProfile.type to ${quoted(sortedSet(values))}`,
  };
};

const SYSCTLS = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
];
const SYSCTLS_27 = [...SYSCTLS, "net.ipv4.ip_local_reserved_ports"];
const SYSCTLS_29 = [
  ...SYSCTLS_27,
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
];
const SYSCTLS_32 = [...SYSCTLS_29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];

function sysctlsOf(allowed: readonly string[]): PodCheck {
  return ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !allowed.includes(name));
    return bad.length === 0 ? undefined : { reason: "forbidden sysctls", detail: bad.join(", ") };
  };
}

export const sysctls = sysctlsOf(SYSCTLS);
export const sysctlsFrom27 = sysctlsOf(SYSCTLS_27);
export const sysctlsFrom29 = sysctlsOf(SYSCTLS_29);
export const sysctlsFrom32 = sysctlsOf(SYSCTLS_32);

export const windowsHostProcess: PodCheck = (pod) => {
  const isPodBad = pod.spec.securityContext?.windowsOptions?.hostProcess === true;
  const bad = containersThat(pod, ({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true);
  if (!isPodBad && bad.length === 0) return undefined;
  return {
    reason: "hostProcess",
    detail: `${setters(isPodBad, bad)} must not set securityContext.windowsOptions.hostProcess=true`,
  };
};
