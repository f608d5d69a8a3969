import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, watch } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { hostname as nodeHostname } from "node:os";
import { dirname, join } from "node:path";
import {
  killCgroup,
  mount,
  processStartTime,
  readOomKills,
  removeCgroup,
  run,
  setCgroupLimits,
  unmount,
} from "@coracle/linux";
import type { ContainerConfig, LinuxContainerResources } from "@coracle/api/cri";
import type { Logger } from "@coracle/base";
import { CriError, messageOf } from "../cri-error.ts";
import { shortId } from "../host/paths.ts";
import type { ImageRecord } from "../image/image-store.ts";
import { readJsonFile, writeFileAtomically } from "../json-file.ts";
import { generateSpec } from "../oci/generate-spec.ts";
import { planStopSignal } from "../oci/process.ts";
import { readAccounts } from "../oci/user.ts";
import type { RuntimeContext } from "../runtime-context.ts";
import { createSupervised } from "./conmon.ts";
import type { ContainerRecord } from "./container-record.ts";
import { KeyedSerial } from "./serial.ts";

/** What a container takes from its pod. */
export interface ContainerHome {
  readonly sandboxId: string;
  readonly hostname: string;
  readonly logDirectory: string;
  readonly cgroupParent: string;
  readonly hostNetwork: boolean;
  readonly namespaces: { readonly network?: string; readonly ipc?: string; readonly uts?: string };
  readonly pidNamespace: string | undefined;
  readonly shmPath: string;
  readonly resolvConfPath: string | undefined;
  readonly hostnamePath: string | undefined;
}

const EXIT_UNKNOWN = 255;
const START_ERROR = 128;
/** How long a killed process may take to be gone; the kernel needs microseconds, a busy disk longer. */
const KILL_PATIENCE_MS = 10_000;

/** The containers of a node: made, started, stopped and removed one step at a time each, known across restarts. */
export class ContainerManager implements Disposable {
  readonly #context: RuntimeContext;
  readonly #log: Logger;
  readonly #records = new Map<string, ContainerRecord>();
  readonly #serial = new KeyedSerial();
  readonly #waiters = new Map<string, Set<() => void>>();
  #watcher: Disposable | undefined;

  constructor(context: RuntimeContext) {
    this.#context = context;
    this.#log = context.logger.child({ part: "containers" });
  }

  list(): Iterable<ContainerRecord> {
    return this.#records.values();
  }

  find(id: string): ContainerRecord | undefined {
    const exact = this.#records.get(id);
    if (exact !== undefined || id === "") return exact;
    // CRI allows an unambiguous beginning.
    const matches = [...this.#records.values()].filter((record) => record.id.startsWith(id));
    return matches.length === 1 ? matches[0] : undefined;
  }

  get(id: string): ContainerRecord {
    const record = this.find(id);
    if (record === undefined) {
      throw new CriError("NOT_FOUND", `an error occurred when try to find container "${id}": not found`);
    }
    return record;
  }

  bundleOf(id: string): string {
    return join(this.#context.paths.bundles, shortId(id));
  }

  /** Learns from disk what ran before, and from the exit files what ended meanwhile. */
  async restore(options: { readonly rebooted: boolean }): Promise<void> {
    const { paths } = this.#context;
    await Promise.all(
      [paths.containers, paths.bundles, paths.exits, paths.persist, paths.oci].map((f) =>
        mkdir(f, { recursive: true }),
      ),
    );
    for (const name of await readdir(paths.containers)) {
      const record = await readJsonFile<ContainerRecord>(join(paths.containers, name, "container.json"));
      if (record === undefined) await this.#discard(name);
      else this.#records.set(record.id, record);
    }
    const known = new Set([...this.#records.keys()].map(shortId));
    for (const name of await readdir(paths.bundles)) if (!known.has(name)) await this.#discard(name);
    // Watch first, look second: an exit in between is seen twice rather than never.
    this.#watch();
    for (const record of this.#records.values()) await this.#catchUp(record, options.rebooted);
  }

  #watch(): void {
    const watcher = watch(this.#context.paths.exits, (_event, name) => {
      if (name !== null && this.#records.has(name)) this.#background(name, () => this.#settle(name));
    });
    watcher.on("error", (error) => this.#log.error("cannot watch for exits", { error }));
    this.#watcher = { [Symbol.dispose]: () => watcher.close() };
  }

  [Symbol.dispose](): void {
    this.#watcher?.[Symbol.dispose]();
  }

  /** Resolves when no change is under way any more. */
  async idle(): Promise<void> {
    await Promise.all([...this.#records.keys()].map((id) => this.#serial.run(id, async () => {})));
  }

  #background(id: string, work: () => Promise<void>): void {
    this.#serial
      .run(id, work)
      .catch((error: unknown) => this.#log.error("container work failed", { container: id, error }));
  }

  async #catchUp(record: ContainerRecord, rebooted: boolean): Promise<void> {
    const { id } = record;
    if (record.finishedAt !== undefined) {
      if (record.isReleased !== true) this.#background(id, () => this.#release(id));
      return;
    }
    if (existsSync(join(this.#context.paths.exits, id))) {
      this.#background(id, () => this.#settle(id));
    } else if (record.startedAt === undefined) {
      // Cut off in the middle of a start: whether it ran is unknown, so it must not run on unseen.
      if (rebooted || existsSync(join(this.bundleOf(id), "pid")))
        await this.#finish(record, EXIT_UNKNOWN, "Unknown", this.#now());
    } else if (rebooted || !this.#isAlive(record)) {
      await this.#finish(record, EXIT_UNKNOWN, "Unknown", this.#now());
    }
  }

  #now(): number {
    return this.#context.clock.now();
  }

  #isAlive(record: ContainerRecord): boolean {
    if (record.pid === undefined) return false;
    if (processStartTime(record.pid) === record.pidStartTime) return true;
    // It has ended; while its conmon lives, the exit file is still to come.
    return this.#conmonLives(record.id);
  }

  #conmonLives(id: string): boolean {
    const conmon = readPid(join(this.bundleOf(id), "conmon-pid"));
    return conmon !== undefined && processStartTime(conmon) !== undefined;
  }

  async #save(record: ContainerRecord): Promise<void> {
    const file = join(this.#context.paths.containers, shortId(record.id), "container.json");
    await writeFileAtomically(file, JSON.stringify(record));
    this.#records.set(record.id, record);
  }

  /** Makes a container that waits to be started. */
  async create(config: ContainerConfig, home: ContainerHome): Promise<string> {
    const { paths, images, limits } = this.#context;
    const reference = config.image?.image ?? "";
    const image = images.find(reference);
    if (image === undefined) throw new CriError("NOT_FOUND", `failed to resolve image "${reference}": not found`);
    if (config.metadata === undefined) throw new CriError("INVALID_ARGUMENT", "container config must include metadata");
    const id = randomBytes(32).toString("hex");
    const folder = join(paths.containers, shortId(id));
    const bundle = this.bundleOf(id);
    const rootfs = join(bundle, "rootfs");
    try {
      await Promise.all(
        [join(folder, "upper"), join(folder, "work"), rootfs].map((f) => mkdir(f, { recursive: true })),
      );
      await this.#mountRoot(image, folder, rootfs);
      const parent = home.cgroupParent === "" ? "/coracle" : home.cgroupParent;
      const cgroupsPath = join("/", parent, id);
      const { spec, user } = await generateSpec({
        config,
        image: image.config,
        accounts: await readAccounts(rootfs),
        rootfs,
        hostname: home.hostNetwork ? nodeHostname() : home.hostname,
        cgroupsPath,
        limits,
        namespaces: home.namespaces,
        pidNamespace: home.pidNamespace,
        mounts: home,
      });
      await writeFile(join(bundle, "config.json"), JSON.stringify(spec), { mode: 0o600 });
      const { envs: _secret, ...kept } = config;
      const logPath =
        home.logDirectory === "" || (config.logPath ?? "") === ""
          ? join(bundle, "log")
          : join(home.logDirectory, config.logPath ?? "");
      await this.#save({
        id,
        sandboxId: home.sandboxId,
        config: kept,
        imageId: image.id,
        imageRef: image.repoDigests[0] ?? image.id,
        layers: image.layers,
        user: { uid: user.uid, gid: user.gid, supplementalGroups: user.additionalGids },
        cgroupsPath,
        logPath,
        stopSignal: planStopSignal(config, image.config),
        createdAt: this.#now(),
      });
    } catch (error) {
      await this.#discard(shortId(id));
      throw error;
    }
    this.#context.notify("CONTAINER_CREATED_EVENT", id, home.sandboxId);
    return id;
  }

  async #mountRoot(image: ImageRecord, folder: string, rootfs: string): Promise<void> {
    const { layers } = this.#context.images;
    const lower = image.layers.map((diffId) => layers.nameOf(diffId)).toReversed();
    if (lower.length === 0) {
      await mkdir(join(folder, "empty"), { recursive: true });
      lower.push(join(folder, "empty"));
    }
    const options = [
      `lowerdir=${lower.join(":")}`,
      `upperdir=${join(folder, "upper")}`,
      `workdir=${join(folder, "work")}`,
    ];
    await mount({ type: "overlay", source: "overlay", target: rootfs, options, cwd: layers.folder });
  }

  /** Runs a created container's program. */
  start(id: string): Promise<void> {
    return this.#serial.run(this.get(id).id, () => this.#context.starts.run(() => this.#start(this.get(id))));
  }

  async #start(record: ContainerRecord): Promise<void> {
    const { oci, conmon, paths } = this.#context;
    const { id, config } = record;
    if (record.startedAt !== undefined || record.finishedAt !== undefined) {
      throw new CriError("FAILED_PRECONDITION", `failed to start container "${id}": container is not in created state`);
    }
    const bundle = this.bundleOf(id);
    try {
      await mkdir(dirname(record.logPath), { recursive: true });
      const pid = await createSupervised(conmon, oci, paths, {
        id,
        bundle,
        logPath: record.logPath,
        tty: config.tty === true,
        stdin: config.stdin === true,
        stdinOnce: config.stdinOnce === true,
      });
      const pidStartTime = processStartTime(pid);
      await run(oci.path, [`--root=${paths.oci}`, "start", id]);
      await this.#save({
        ...record,
        startedAt: this.#now(),
        pid,
        ...(pidStartTime === undefined ? {} : { pidStartTime }),
      });
    } catch (error) {
      const message = `failed to create containerd task: failed to create shim task: OCI runtime create failed: ${ociMessage(error)}`;
      await this.#save({ ...record, startedAt: this.#now(), message });
      await this.#finish(this.get(id), START_ERROR, "StartError", this.#now());
      throw new CriError("UNKNOWN", message, { cause: error });
    }
    this.#context.notify("CONTAINER_STARTED_EVENT", id, record.sandboxId);
    // It may have ended before its record said it runs; that exit's notice came too early.
    if (existsSync(join(paths.exits, id))) this.#background(id, () => this.#settle(id));
  }

  /** Reads the exit file, if it is there, and closes the books. */
  async #settle(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record === undefined || record.startedAt === undefined || record.finishedAt !== undefined) return;
    const file = join(this.#context.paths.exits, id);
    const info = await stat(file).catch(() => undefined);
    const text = info === undefined ? "" : (await readFile(file, "utf8")).trim();
    if (info === undefined || !/^-?\d+$/.test(text)) return;
    const code = Number(text);
    const oomKills = code === 0 ? 0 : await readOomKills(this.#context.hierarchy, record.cgroupsPath);
    // The kernel stamps files with a coarser clock than ours: an end before the start would confuse readers.
    const finishedAt = Math.max(Math.floor(info.mtimeMs), record.startedAt);
    await this.#finish(record, code < 0 ? EXIT_UNKNOWN : code, oomKills > 0 ? "OOMKilled" : undefined, finishedAt);
  }

  async #finish(
    record: ContainerRecord,
    exitCode: number,
    reason: string | undefined,
    finishedAt: number,
  ): Promise<void> {
    const { id } = record;
    await this.#save({
      ...record,
      startedAt: record.startedAt ?? record.createdAt,
      finishedAt,
      exitCode,
      ...(reason === undefined ? {} : { reason }),
    });
    for (const wake of this.#waiters.get(id) ?? []) wake();
    this.#waiters.delete(id);
    this.#context.notify("CONTAINER_STOPPED_EVENT", id, record.sandboxId);
    await this.#release(id);
  }

  /** Takes back what only a running container needs: cgroups, the mounted root, the OCI runtime's memory of it. */
  async #release(id: string): Promise<void> {
    const { oci, paths } = this.#context;
    const record = this.#records.get(id);
    if (record === undefined) return;
    if (existsSync(join(paths.oci, id))) {
      await run(oci.path, [`--root=${paths.oci}`, "delete", "--force", id], { allowFailure: true });
    }
    await this.#clearCgroup(record);
    await unmount(join(this.bundleOf(id), "rootfs"));
    await rm(join(paths.exits, id), { force: true });
    await rm(join(paths.persist, id), { recursive: true, force: true });
    await this.#save({ ...record, isReleased: true });
  }

  async #clearCgroup(record: ContainerRecord): Promise<void> {
    const { hierarchy, clock } = this.#context;
    for (let attempt = 0; attempt < 50; attempt++) {
      if (await removeCgroup(hierarchy, record.cgroupsPath)) return;
      await killCgroup(hierarchy, record.cgroupsPath);
      await new Promise<void>((resolve) => clock.after(20, resolve));
    }
    this.#log.warn("a container's cgroup stays", { container: record.id, cgroup: record.cgroupsPath });
  }

  /** Asks the program to end, and ends it `timeoutMs` later; resolves when it is gone. */
  async stop(id: string, timeoutMs: number): Promise<void> {
    const record = this.find(id);
    if (record === undefined || record.finishedAt !== undefined || record.startedAt === undefined) return;
    if (timeoutMs > 0) {
      this.#signal(record, record.stopSignal);
      if (await this.#exited(record.id, timeoutMs)) return;
    }
    this.#signal(record, "SIGKILL");
    await killCgroup(this.#context.hierarchy, record.cgroupsPath);
    if (await this.#exited(record.id, this.#conmonLives(record.id) ? KILL_PATIENCE_MS : 0)) return;
    // Nobody is left to tell how it ended.
    await this.#serial.run(record.id, async () => {
      const current = this.#records.get(record.id);
      if (current !== undefined && current.finishedAt === undefined)
        await this.#finish(current, 137, undefined, this.#now());
    });
  }

  #signal(record: ContainerRecord, signal: string | number): void {
    if (record.pid === undefined || processStartTime(record.pid) !== record.pidStartTime) return;
    try {
      process.kill(record.pid, signal as NodeJS.Signals | number);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }

  /** True when the container has ended within the time. */
  #exited(id: string, withinMs: number): Promise<boolean> {
    const record = this.#records.get(id);
    if (record === undefined || record.finishedAt !== undefined) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(id) ?? new Set();
      this.#waiters.set(id, waiters);
      const timer = this.#context.clock.after(withinMs, () => {
        waiters.delete(wake);
        resolve(false);
      });
      const wake = (): void => {
        timer[Symbol.dispose]();
        resolve(true);
      };
      waiters.add(wake);
    });
  }

  /** Resolves when a running container has ended. */
  async waitForExit(id: string): Promise<void> {
    const record = this.find(id);
    if (record === undefined || record.finishedAt !== undefined) return;
    await new Promise<void>((resolve) => {
      const waiters = this.#waiters.get(record.id) ?? new Set();
      this.#waiters.set(record.id, waiters);
      waiters.add(resolve);
    });
  }

  /** Removes a container with everything it wrote; kills it first if need be. Unknown ones are no error. */
  async remove(id: string): Promise<void> {
    const found = this.find(id);
    if (found === undefined) return;
    await this.stop(found.id, 0);
    await this.#serial.run(found.id, async () => {
      const record = this.#records.get(found.id);
      if (record === undefined) return;
      if (record.isReleased !== true) await this.#release(record.id);
      this.#records.delete(record.id);
      await this.#discard(shortId(record.id));
      this.#context.notify("CONTAINER_DELETED_EVENT", record.id, record.sandboxId);
    });
  }

  async #discard(name: string): Promise<void> {
    const { paths } = this.#context;
    await unmount(join(paths.bundles, name, "rootfs"));
    await rm(join(paths.bundles, name), { recursive: true, force: true });
    await rm(join(paths.containers, name), { recursive: true, force: true });
  }

  /** Changes the limits of a container; zero leaves a limit as it is. */
  async update(id: string, wanted: LinuxContainerResources): Promise<void> {
    const record = this.get(id);
    await this.#serial.run(record.id, async () => {
      const current = this.get(record.id);
      const set = (value: number | undefined): number | undefined =>
        value === undefined || value === 0 ? undefined : value;
      if (current.startedAt !== undefined && current.finishedAt === undefined) {
        await setCgroupLimits(this.#context.hierarchy, current.cgroupsPath, {
          cpuShares: set(wanted.cpuShares),
          cpuQuotaMicroseconds: set(wanted.cpuQuota),
          cpuPeriodMicroseconds: set(wanted.cpuPeriod),
          memoryLimitBytes: set(wanted.memoryLimitInBytes),
        }).catch((error: unknown) => {
          throw new CriError("UNKNOWN", `failed to update resources: ${messageOf(error)}`, { cause: error });
        });
      }
      const before = current.resources ?? current.config.linux?.resources ?? {};
      const changed = Object.fromEntries(
        Object.entries(wanted).filter(([, v]) => v !== undefined && v !== 0 && v !== ""),
      );
      await this.#save({ ...current, resources: { ...before, ...changed } });
    });
  }

  /** Lets conmon open its log anew, after the file was moved away. */
  async reopenLog(id: string): Promise<void> {
    const record = this.get(id);
    if (record.finishedAt !== undefined || record.startedAt === undefined) {
      throw new CriError("FAILED_PRECONDITION", `container "${id}" is not running`);
    }
    await writeFile(join(this.bundleOf(record.id), "ctl"), "2 0 0\n");
    // conmon opens it when it reads the request; callers count on the file being there.
    for (let attempt = 0; attempt < 100 && !existsSync(record.logPath); attempt++) {
      await new Promise<void>((resolve) => this.#context.clock.after(5, resolve));
    }
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, "utf8").trim());
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function ociMessage(error: unknown): string {
  return messageOf(error)
    .replace(/^conmon: /, "")
    .trim();
}
