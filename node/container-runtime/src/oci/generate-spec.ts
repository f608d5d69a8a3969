import { readFile } from "node:fs/promises";
import type { ContainerConfig } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import type { ImageConfig } from "../image/manifest.ts";
import { planCapabilities } from "./capabilities.ts";
import { planDevices } from "./devices.ts";
import { planMounts, type MountContext } from "./mounts.ts";
import { planArguments, planEnvironment } from "./process.ts";
import { planResources, type ResourceSupport } from "./resources.ts";
import type { OciNamespace, OciSeccomp, OciSpec } from "./runtime-spec.ts";
import { defaultSeccompProfile } from "./seccomp.ts";
import type { Accounts } from "./user.ts";
import { resolveUser, type ResolvedUser } from "./user.ts";

/** What this process can hand to a container at most; see `probeHostLimits`. */
export interface HostLimits extends ResourceSupport {
  readonly boundingCapabilities: readonly string[];
  /** A lower score is refused by the kernel; undefined when we may set any. */
  readonly lowestOomScore: number | undefined;
  readonly seccomp: boolean;
}

export interface SpecRequest {
  readonly config: ContainerConfig;
  readonly image: NonNullable<ImageConfig["config"]>;
  readonly accounts: Accounts;
  readonly rootfs: string;
  readonly hostname: string;
  readonly cgroupsPath: string;
  readonly limits: HostLimits;
  /** Files of the pod's namespaces; absent means the node's. */
  readonly namespaces: {
    readonly network?: string | undefined;
    readonly ipc?: string | undefined;
    readonly uts?: string | undefined;
  };
  /** File of the process namespace to join; undefined makes a new one, `host` is the node's. */
  readonly pidNamespace: string | undefined;
  readonly mounts: Omit<MountContext, "privileged">;
}

const DEFAULT_MASKED = [
  "/proc/asound",
  "/proc/acpi",
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
const DEFAULT_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

async function seccompOf(
  config: ContainerConfig,
  capabilities: readonly string[],
  supported: boolean,
): Promise<OciSeccomp | undefined> {
  const context = config.linux?.securityContext;
  if (context?.privileged === true) return undefined;
  const profile = context?.seccomp;
  if (profile === undefined || profile.profileType === "Unconfined") return undefined;
  if (!supported) throw new CriError("FAILED_PRECONDITION", "seccomp is not supported on this host");
  if (profile.profileType === "Localhost") {
    const file = (profile.localhostRef ?? "").replace(/^localhost\//, "");
    const text = await readFile(file, "utf8").catch((cause: Error) => {
      throw new CriError(
        "UNKNOWN",
        `failed to generate seccomp spec opts: cannot load seccomp profile "${file}": ${cause.message}`,
        { cause },
      );
    });
    return JSON.parse(text) as OciSeccomp;
  }
  return defaultSeccompProfile(capabilities);
}

/** Translates one CRI container into the OCI runtime's configuration. */
export async function generateSpec(
  request: SpecRequest,
): Promise<{ readonly spec: OciSpec; readonly user: ResolvedUser }> {
  const { config, image, limits, namespaces } = request;
  const context = config.linux?.securityContext ?? {};
  const privileged = context.privileged === true;
  if (context.namespaceOptions?.usernsOptions?.mode === "POD") {
    throw new CriError("UNIMPLEMENTED", "user namespaces are not supported by this runtime");
  }
  const user = resolveUser(request.accounts, image.User ?? "", context);
  const capabilities = planCapabilities(context.capabilities, privileged, limits.boundingCapabilities);
  const ambient = (context.capabilities?.addAmbientCapabilities ?? []).filter((name) => capabilities.includes(name));
  // A process that is not root gets them only if its program file says so: none by itself.
  const held = user.uid === 0 ? capabilities : ambient;
  const devices = await planDevices(config.devices ?? [], privileged);
  const mounts = await planMounts(config, { ...request.mounts, privileged });
  const seccomp = await seccompOf(config, capabilities, limits.seccomp);
  const join = (type: OciNamespace["type"], path: string | undefined): OciNamespace[] =>
    path === undefined ? [] : [{ type, path }];
  const oomScore = config.linux?.resources?.oomScoreAdj ?? 0;
  const spec: OciSpec = {
    ociVersion: "1.0.2",
    process: {
      terminal: config.tty === true,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args: planArguments(config, image),
      env: planEnvironment(config, image, { hostname: request.hostname, home: user.home }),
      cwd: absolute((config.workingDir ?? "") === "" ? (image.WorkingDir ?? "") : (config.workingDir ?? "")),
      capabilities: { bounding: capabilities, effective: held, permitted: held, inheritable: ambient, ambient },
      rlimits: [],
      noNewPrivileges: context.noNewPrivs === true,
      oomScoreAdj: limits.lowestOomScore === undefined ? oomScore : Math.max(oomScore, limits.lowestOomScore),
    },
    root: { path: request.rootfs, readonly: context.readonlyRootfs === true },
    mounts: mounts.mounts,
    linux: {
      cgroupsPath: request.cgroupsPath,
      namespaces: [
        { type: "mount" },
        ...(request.pidNamespace === "host"
          ? []
          : request.pidNamespace === undefined
            ? [{ type: "pid" as const }]
            : join("pid", request.pidNamespace)),
        ...join("network", namespaces.network),
        ...join("ipc", namespaces.ipc),
        ...join("uts", namespaces.uts),
      ],
      resources: planResources(config.linux?.resources, limits, devices.rules),
      devices: devices.devices,
      maskedPaths: privileged ? [] : nonEmpty(context.maskedPaths, DEFAULT_MASKED),
      readonlyPaths: privileged ? [] : nonEmpty(context.readonlyPaths, DEFAULT_READONLY),
      ...(mounts.rootfsPropagation === undefined ? {} : { rootfsPropagation: mounts.rootfsPropagation }),
      ...(seccomp === undefined ? {} : { seccomp }),
    },
    annotations: { ...config.annotations },
  };
  return { spec, user };
}

const absolute = (path: string): string => (path === "" ? "/" : path);
const nonEmpty = (own: readonly string[] | undefined, fallback: readonly string[]): readonly string[] =>
  own === undefined || own.length === 0 ? fallback : own;
