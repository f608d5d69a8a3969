import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Container, Pod } from "@coracle/api/core/v1";
import type { ContainerConfig, KeyValue, LinuxContainerResources, Mount, PodSandboxConfig } from "@coracle/api/cri";
import {
  CONTAINER_HASH,
  CONTAINER_NAME,
  POD_GRACE,
  POD_NAME,
  POD_NAMESPACE,
  POD_UID,
  RESTART_COUNT,
  TERMINATION_PATH,
  TERMINATION_POLICY,
} from "../cri/labels.ts";
import { podDns, type DnsSettings } from "../network/dns.ts";
import { podHostname } from "../network/hosts-file.ts";
import { containerAmounts, cpuQuota, cpuShares, oomScoreAdj } from "../resources/qos.ts";
import type { PresentImage } from "../image/image-manager.ts";
import { ContainerConfigError } from "./environment.ts";
import { expandVariables } from "./expansion.ts";
import { containerSecurityContext, sandboxSecurityContext } from "./security-context.ts";

/** What of the node goes into configurations. */
export interface NodeContext {
  readonly rootFolder: string;
  readonly podLogsFolder: string;
  readonly dns: DnsSettings;
  readonly memoryBytes: number;
  readonly hasCpuQuota: boolean;
  readonly cgroupParent: (pod: Pod) => string;
}

const PERIOD_MICROSECONDS = 100_000;

/** What, when it changes, makes a running container obsolete. */
export function containerHash(container: Container): string {
  return createHash("sha1")
    .update(`${container.name}\n${container.image ?? ""}`)
    .digest("hex")
    .slice(0, 8);
}

export function podLogFolder(root: string, pod: Pod): string {
  const { namespace = "", name = "", uid = "" } = pod.metadata;
  return join(root, `${namespace}_${name}_${uid}`);
}

export function sandboxConfig(pod: Pod, attempt: number, node: NodeContext): PodSandboxConfig {
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const { hostname, domain } = podHostname(pod, node.dns.clusterDomain);
  const ports = pod.spec?.hostNetwork === true ? [] : (pod.spec?.containers ?? []).flatMap((each) => each.ports ?? []);
  return {
    metadata: { name, namespace, uid, attempt },
    hostname:
      pod.spec?.hostNetwork === true
        ? ""
        : pod.spec?.setHostnameAsFQDN === true && domain !== undefined
          ? `${hostname}.${domain}`
          : hostname,
    logDirectory: podLogFolder(node.podLogsFolder, pod),
    dnsConfig: podDns(pod, node.dns),
    portMappings: ports
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => ({
        protocol: (port.protocol ?? "TCP") as "TCP" | "UDP" | "SCTP",
        containerPort: port.containerPort,
        hostPort: port.hostPort ?? 0,
        hostIp: port.hostIP ?? "",
      })),
    labels: { ...pod.metadata.labels, [POD_NAME]: name, [POD_NAMESPACE]: namespace, [POD_UID]: uid },
    annotations: pod.metadata.annotations ?? {},
    linux: {
      cgroupParent: node.cgroupParent(pod),
      sysctls: Object.fromEntries(
        (pod.spec?.securityContext?.sysctls ?? []).map(({ name: key, value }) => [key, value]),
      ),
      securityContext: sandboxSecurityContext(pod, node.rootFolder),
    },
  };
}

/** Names and values that a container starts with, beside its own specification. */
export interface ContainerInput {
  readonly pod: Pod;
  readonly container: Container;
  readonly image: PresentImage;
  readonly restartCount: number;
  readonly environment: ReadonlyMap<string, string | Buffer>;
  /** Host folders by volume name. */
  readonly volumes: ReadonlyMap<string, string>;
  /** Files of the kubelet's own, host path by container path. */
  readonly files: ReadonlyMap<string, string>;
  /** The run whose processes an ephemeral container sees. */
  readonly targetId?: string | undefined;
}

const PROPAGATION = {
  None: "PROPAGATION_PRIVATE",
  HostToContainer: "PROPAGATION_HOST_TO_CONTAINER",
  Bidirectional: "PROPAGATION_BIDIRECTIONAL",
} as const;

export function containerConfig(input: ContainerInput, node: NodeContext): ContainerConfig {
  const { pod, container, environment } = input;
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const lookup = (variable: string): string | undefined => environment.get(variable)?.toString();
  const envs: KeyValue[] = [...environment].map(([key, value]) => ({
    key,
    value: typeof value === "string" ? Buffer.from(value) : value,
  }));
  return {
    metadata: { name: container.name, attempt: input.restartCount },
    image: { image: input.image.ref, userSpecifiedImage: container.image ?? "" },
    command: (container.command ?? []).map((word) => expandVariables(word, lookup)),
    args: (container.args ?? []).map((word) => expandVariables(word, lookup)),
    workingDir: container.workingDir ?? "",
    envs,
    mounts: [...volumeMounts(input, lookup), ...fileMounts(input)],
    labels: { [POD_NAME]: name, [POD_NAMESPACE]: namespace, [POD_UID]: uid, [CONTAINER_NAME]: container.name },
    annotations: {
      [CONTAINER_HASH]: containerHash(container),
      [RESTART_COUNT]: String(input.restartCount),
      [TERMINATION_PATH]: container.terminationMessagePath ?? "/dev/termination-log",
      [TERMINATION_POLICY]: container.terminationMessagePolicy ?? "File",
      [POD_GRACE]: String(pod.spec?.terminationGracePeriodSeconds ?? 30),
    },
    logPath: `${container.name}/${input.restartCount}.log`,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    linux: {
      resources: containerResources(pod, container, node),
      securityContext: containerSecurityContext(pod, container, node.rootFolder, input.image, input.targetId),
    },
    ...(container.lifecycle?.stopSignal === undefined
      ? {}
      : { stopSignal: container.lifecycle.stopSignal.replace("+", "PLUS").replace("MAX-", "MAXMINUS") as "SIGTERM" }),
  };
}

export function containerResources(pod: Pod, container: Container, node: NodeContext): LinuxContainerResources {
  const amounts = containerAmounts(container);
  return {
    cpuShares: cpuShares(amounts.cpuRequestMillis),
    cpuPeriod: PERIOD_MICROSECONDS,
    cpuQuota: node.hasCpuQuota ? cpuQuota(amounts.cpuLimitMillis, PERIOD_MICROSECONDS) : 0,
    memoryLimitInBytes: amounts.memoryLimitBytes,
    oomScoreAdj: oomScoreAdj(pod, container, node.memoryBytes),
  };
}

function volumeMounts(input: ContainerInput, lookup: (name: string) => string | undefined): Mount[] {
  return (input.container.volumeMounts ?? []).map((volumeMount) => {
    const folder = input.volumes.get(volumeMount.name);
    if (folder === undefined) throw new ContainerConfigError(`volume "${volumeMount.name}" is not mounted`);
    const expression = volumeMount.subPathExpr ?? "";
    const subPath = expression === "" ? (volumeMount.subPath ?? "") : expandVariables(expression, lookup);
    if (subPath.startsWith("/") || subPath.split("/").includes("..")) {
      throw new ContainerConfigError(`subPath "${subPath}" must be a relative path without ".."`);
    }
    return {
      containerPath: volumeMount.mountPath.startsWith("/") ? volumeMount.mountPath : `/${volumeMount.mountPath}`,
      hostPath: subPath === "" ? folder : join(folder, subPath),
      readonly: volumeMount.readOnly === true,
      propagation: PROPAGATION[(volumeMount.mountPropagation ?? "None") as keyof typeof PROPAGATION],
      recursiveReadOnly: volumeMount.recursiveReadOnly === "Enabled",
    };
  });
}

function fileMounts(input: ContainerInput): Mount[] {
  const taken = new Set((input.container.volumeMounts ?? []).map(({ mountPath }) => mountPath));
  return [...input.files]
    .filter(([containerPath]) => !taken.has(containerPath))
    .map(([containerPath, hostPath]) => ({ containerPath, hostPath, readonly: false }));
}
