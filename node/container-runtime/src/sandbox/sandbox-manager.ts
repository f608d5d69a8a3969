import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  ensureMountPoint,
  pinNamespaces,
  run,
  spawnDetached,
  unpinNamespaces,
  type PinnedNamespace,
} from "@coracle/linux";
import type { DNSConfig, NamespaceOption, PodSandboxConfig } from "@coracle/api/cri";
import { CriError, messageOf } from "../cri-error.ts";
import type { ContainerHome, ContainerManager } from "../container/container-manager.ts";
import { KeyedSerial } from "../container/serial.ts";
import { findProgram } from "../host/oci-runtime.ts";
import { shortId } from "../host/paths.ts";
import { readJsonFile, writeFileAtomically } from "../json-file.ts";
import type { PodNetwork, PodNetworkRequest } from "../network/pod-network.ts";
import type { OciSpec } from "../oci/runtime-spec.ts";
import type { RuntimeContext } from "../runtime-context.ts";
import type { SandboxRecord } from "./sandbox-record.ts";

/** The text of a pod's resolv.conf; undefined leaves the node's. */
export function resolvConfOf(dns: DNSConfig | undefined): string | undefined {
  if (dns === undefined) return undefined;
  const { servers = [], searches = [], options = [] } = dns;
  const lines = [
    ...(searches.length === 0 ? [] : [`search ${searches.join(" ")}`]),
    ...servers.map((server) => `nameserver ${server}`),
    ...(options.length === 0 ? [] : [`options ${options.join(" ")}`]),
  ];
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

const IPC_SYSCTL = /^(?:kernel\.(?:sem|shm.*|msg.*)|fs\.mqueue\..*)$/;

/** Throws for a sysctl that is the whole node's: pods may set only those of namespaces they have to themselves. */
export function checkSysctls(sysctls: { readonly [name: string]: string }, own: NamespaceOption): void {
  for (const given of Object.keys(sysctls)) {
    const name = given.replaceAll("/", ".");
    const isNamespaced =
      (name.startsWith("net.") && own.network !== "NODE") || (IPC_SYSCTL.test(name) && own.ipc !== "NODE");
    if (!isNamespaced) {
      throw new CriError("INVALID_ARGUMENT", `sysctl "${name}" is not in a separate kernel namespace`);
    }
  }
}

/** The pods of a node: namespaces that live without a process, their network, and what containers take from them. */
export class SandboxManager {
  readonly #context: RuntimeContext;
  readonly #containers: ContainerManager;
  readonly #network: PodNetwork;
  readonly #records = new Map<string, SandboxRecord>();
  readonly #serial = new KeyedSerial();

  constructor(context: RuntimeContext, containers: ContainerManager, network: PodNetwork) {
    this.#context = context;
    this.#containers = containers;
    this.#network = network;
  }

  list(): Iterable<SandboxRecord> {
    return this.#records.values();
  }

  find(id: string): SandboxRecord | undefined {
    const exact = this.#records.get(id);
    if (exact !== undefined || id === "") return exact;
    const matches = [...this.#records.values()].filter((record) => record.id.startsWith(id));
    return matches.length === 1 ? matches[0] : undefined;
  }

  get(id: string): SandboxRecord {
    const record = this.find(id);
    if (record === undefined)
      throw new CriError("NOT_FOUND", `an error occurred when try to find sandbox: not found: "${id}"`);
    return record;
  }

  /** Learns from disk what was there before. */
  async restore(options: { readonly rebooted: boolean }): Promise<void> {
    const { paths } = this.#context;
    await Promise.all(
      [paths.sandboxRecords, paths.sandboxes, paths.namespaces].map((f) => mkdir(f, { recursive: true })),
    );
    await ensureMountPoint(paths.namespaces, "private");
    for (const name of await readdir(paths.sandboxRecords)) {
      const file = join(paths.sandboxRecords, name);
      const record = name.endsWith(".json") ? await readJsonFile<SandboxRecord>(file) : undefined;
      if (record === undefined) await rm(file, { force: true });
      else this.#records.set(record.id, record);
    }
    for (const record of this.#records.values()) {
      if (record.phase === "creating") {
        await this.#takeApart(record);
        await this.#forget(record);
      } else if (record.phase === "ready" && options.rebooted) {
        // The namespaces went with the boot; the address must go back all the same.
        await this.#network.remove(this.#networkRequest(record)).catch(() => {});
        await this.#save({ ...record, phase: "stopped" });
      }
    }
  }

  async #save(record: SandboxRecord): Promise<void> {
    await writeFileAtomically(
      join(this.#context.paths.sandboxRecords, `${shortId(record.id)}.json`),
      JSON.stringify(record),
    );
    this.#records.set(record.id, record);
  }

  async #forget(record: SandboxRecord): Promise<void> {
    await rm(join(this.#context.paths.sandboxRecords, `${shortId(record.id)}.json`), { force: true });
    await rm(this.#folder(record.id), { recursive: true, force: true });
    this.#records.delete(record.id);
  }

  #folder(id: string): string {
    return join(this.#context.paths.sandboxes, shortId(id));
  }

  #namespaces(id: string): string {
    return join(this.#context.paths.namespaces, shortId(id));
  }

  /** File of the pod's network namespace; undefined when it is the node's. */
  networkNamespace(record: SandboxRecord): string | undefined {
    return options(record.config).network === "NODE" ? undefined : join(this.#namespaces(record.id), "net");
  }

  #networkRequest(record: SandboxRecord): PodNetworkRequest {
    const { metadata, portMappings = [], annotations = {}, labels = {} } = record.config;
    return {
      sandboxId: record.id,
      netnsPath: join(this.#namespaces(record.id), "net"),
      namespace: metadata?.namespace ?? "",
      name: metadata?.name ?? "",
      uid: metadata?.uid ?? "",
      portMappings,
      annotations,
      labels,
    };
  }

  /** Makes a pod's namespaces and connects them. */
  async run(config: PodSandboxConfig, runtimeHandler: string): Promise<string> {
    if (config.metadata === undefined) throw new CriError("INVALID_ARGUMENT", "sandbox config must include metadata");
    if (runtimeHandler !== "" && runtimeHandler !== this.#context.oci.name) {
      throw new CriError("UNKNOWN", `failed to get sandbox runtime: no runtime for "${runtimeHandler}" is configured`);
    }
    checkSysctls(config.linux?.sysctls ?? {}, options(config));
    const id = randomBytes(32).toString("hex");
    const record: SandboxRecord = {
      id,
      config,
      runtimeHandler,
      createdAt: this.#context.clock.now(),
      phase: "creating",
      ips: [],
    };
    await this.#save(record);
    try {
      await this.#context.starts.run(() => this.#makeNamespaces(record));
      const pausePid = options(config).pid === "POD" ? await this.#startPause(record) : undefined;
      const ips = this.networkNamespace(record) === undefined ? [] : await this.#connect(record);
      await this.#save({ ...record, phase: "ready", ips, ...(pausePid === undefined ? {} : { pausePid }) });
    } catch (error) {
      await this.#takeApart(record);
      await this.#forget(record);
      throw error;
    }
    this.#context.notify("CONTAINER_CREATED_EVENT", id, id);
    this.#context.notify("CONTAINER_STARTED_EVENT", id, id);
    return id;
  }

  async #makeNamespaces(record: SandboxRecord): Promise<void> {
    const { config, id } = record;
    const folder = this.#folder(id);
    const pins = this.#namespaces(id);
    const { network, ipc } = options(config);
    const namespaces: PinnedNamespace[] = [];
    // A pod that shares the node's network shares its host name too.
    if (network !== "NODE") namespaces.push("net", "uts");
    if (ipc !== "NODE") namespaces.push("ipc");
    const shm = join(pins, "shm");
    await mkdir(folder, { recursive: true });
    await mkdir(shm, { recursive: true });
    const resolvConf = resolvConfOf(config.dnsConfig);
    if (resolvConf === undefined)
      await copyFile("/etc/resolv.conf", join(folder, "resolv.conf")).catch(() =>
        writeFile(join(folder, "resolv.conf"), ""),
      );
    else await writeFile(join(folder, "resolv.conf"), resolvConf);
    if (network !== "NODE") await writeFile(join(folder, "hostname"), `${config.hostname ?? ""}\n`);
    await pinNamespaces({
      folder: pins,
      namespaces,
      hostname: config.hostname,
      sysctls: config.linux?.sysctls,
      script: ipc === "NODE" ? "" : `mount -t tmpfs -o nosuid,noexec,nodev,mode=1777,size=65536k shm '${shm}'`,
    }).catch((error: unknown) => {
      throw new CriError("UNKNOWN", `failed to create namespaces for sandbox "${id}": ${messageOf(error)}`, {
        cause: error,
      });
    });
  }

  async #connect(record: SandboxRecord): Promise<readonly string[]> {
    try {
      const { ips } = await this.#network.add(this.#networkRequest(record));
      return ips;
    } catch (error) {
      throw new CriError("UNKNOWN", `failed to setup network for sandbox "${record.id}": ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** A process namespace lives as long as its first process: only pods that share one need such a process. */
  async #startPause(record: SandboxRecord): Promise<number> {
    const { oci, paths, limits } = this.#context;
    const program = findProgram("catatonit");
    if (program === undefined)
      throw new CriError("FAILED_PRECONDITION", "sharing a process namespace needs the program catatonit: install it");
    const bundle = join(this.#folder(record.id), "pause");
    await mkdir(join(bundle, "rootfs"), { recursive: true });
    const pins = this.#namespaces(record.id);
    const { network, ipc } = options(record.config);
    const spec: OciSpec = {
      ociVersion: "1.0.2",
      process: {
        terminal: false,
        user: { uid: 0, gid: 0, additionalGids: [] },
        args: ["/pause", "-P"],
        env: ["PATH=/"],
        cwd: "/",
        capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
        rlimits: [],
        noNewPrivileges: true,
        oomScoreAdj: Math.max(-998, limits.lowestOomScore ?? -998),
      },
      root: { path: join(bundle, "rootfs"), readonly: true },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
        { destination: "/pause", type: "bind", source: program, options: ["bind", "ro"] },
      ],
      linux: {
        cgroupsPath: this.#pauseCgroup(record),
        namespaces: [
          { type: "mount" },
          { type: "pid" },
          ...(network === "NODE"
            ? []
            : [
                { type: "network" as const, path: join(pins, "net") },
                { type: "uts" as const, path: join(pins, "uts") },
              ]),
          ...(ipc === "NODE" ? [] : [{ type: "ipc" as const, path: join(pins, "ipc") }]),
        ],
        resources: { cpu: { shares: 2 } },
        devices: [],
        maskedPaths: [],
        readonlyPaths: [],
      },
    };
    await writeFile(join(bundle, "config.json"), JSON.stringify(spec));
    const pidFile = join(bundle, "pid");
    await spawnDetached(oci.path, [
      `--root=${paths.oci}`,
      "run",
      "--detach",
      "--bundle",
      bundle,
      "--pid-file",
      pidFile,
      `pause-${shortId(record.id)}`,
    ]);
    return Number(await readFile(pidFile, "utf8"));
  }

  #pauseCgroup(record: SandboxRecord): string {
    const parent = record.config.linux?.cgroupParent ?? "";
    return join("/", parent === "" ? "/coracle" : parent, `pause-${shortId(record.id)}`);
  }

  /** What a container of this pod takes from it. */
  homeOf(record: SandboxRecord, containerNamespaces: NamespaceOption | undefined): ContainerHome {
    if (record.phase !== "ready") throw new CriError("FAILED_PRECONDITION", `sandbox "${record.id}" is not running`);
    const { config, id } = record;
    const pins = this.#namespaces(id);
    const folder = this.#folder(id);
    const { network, ipc } = options(config);
    return {
      sandboxId: id,
      hostname: config.hostname ?? "",
      logDirectory: config.logDirectory ?? "",
      cgroupParent: config.linux?.cgroupParent ?? "",
      hostNetwork: network === "NODE",
      namespaces: {
        ...(network === "NODE" ? {} : { network: join(pins, "net"), uts: join(pins, "uts") }),
        ...(ipc === "NODE" ? {} : { ipc: join(pins, "ipc") }),
      },
      pidNamespace: this.#pidNamespace(record, containerNamespaces),
      shmPath: ipc === "NODE" ? "/dev/shm" : join(pins, "shm"),
      resolvConfPath: join(folder, "resolv.conf"),
      hostnamePath:
        network !== "NODE" ? join(folder, "hostname") : existsSync("/etc/hostname") ? "/etc/hostname" : undefined,
    };
  }

  #pidNamespace(record: SandboxRecord, own: NamespaceOption | undefined): string | undefined {
    const mode = own?.pid ?? "POD";
    if (mode === "NODE") return "host";
    if (mode === "TARGET") {
      const target = this.#containers.get(own?.targetId ?? "");
      if (target.pid === undefined || target.finishedAt !== undefined) {
        throw new CriError("FAILED_PRECONDITION", `invalid target container: container "${target.id}" is not running`);
      }
      return `/proc/${target.pid}/ns/pid`;
    }
    if (mode === "CONTAINER" || record.pausePid === undefined) return undefined;
    return `/proc/${record.pausePid}/ns/pid`;
  }

  /** Ends a pod's containers, network and namespaces; its record stays. Also twice, also for unknown ones. */
  async stop(id: string): Promise<void> {
    const found = this.find(id);
    if (found === undefined) return;
    await this.#serial.run(found.id, async () => {
      const record = this.#records.get(found.id);
      if (record === undefined || record.phase === "stopped") return;
      const own = [...this.#containers.list()].filter((container) => container.sandboxId === record.id);
      await Promise.all(own.map((container) => this.#containers.stop(container.id, 0)));
      await this.#takeApart(record);
      await this.#save({ ...record, phase: "stopped" });
      this.#context.notify("CONTAINER_STOPPED_EVENT", record.id, record.id);
    });
  }

  async #takeApart(record: SandboxRecord): Promise<void> {
    const { oci, paths } = this.#context;
    if (options(record.config).network !== "NODE") {
      await this.#network.remove(this.#networkRequest(record)).catch((error: unknown) => {
        throw new CriError("UNKNOWN", `failed to destroy network for sandbox "${record.id}": ${messageOf(error)}`, {
          cause: error,
        });
      });
    }
    const pause = `pause-${shortId(record.id)}`;
    if (existsSync(join(paths.oci, pause))) {
      await run(oci.path, [`--root=${paths.oci}`, "delete", "--force", pause], { allowFailure: true });
    }
    if (existsSync(this.#namespaces(record.id))) await unpinNamespaces(this.#namespaces(record.id));
  }

  /** Removes a pod with its containers. Unknown ones are no error. */
  async remove(id: string): Promise<void> {
    const found = this.find(id);
    if (found === undefined) return;
    await this.stop(found.id);
    const own = [...this.#containers.list()].filter((container) => container.sandboxId === found.id);
    await Promise.all(own.map((container) => this.#containers.remove(container.id)));
    await this.#serial.run(found.id, async () => {
      const record = this.#records.get(found.id);
      if (record === undefined) return;
      await this.#forget(record);
      this.#context.notify("CONTAINER_DELETED_EVENT", record.id, record.id);
    });
  }
}

const options = (config: PodSandboxConfig): NamespaceOption =>
  config.linux?.securityContext?.namespaceOptions ?? { pid: "CONTAINER" };
