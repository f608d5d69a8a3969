import { readdirSync, readFileSync, readlinkSync, existsSync } from "node:fs";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { run } from "@coracle/linux";
import { MARKER, type TestHost } from "./test-host.ts";

const KINDS = ["processes", "mounts", "namespaces", "links", "routes", "cgroups", "netfilter", "files"] as const;

/** On a loaded machine the kernel takes its time with the ends of processes, mounts and control groups. */
const GONE_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 100;

/** What is on the machine that a cluster could leave behind, by kind. */
export type HostSnapshot = Readonly<Record<(typeof KINDS)[number], ReadonlySet<string>>>;

/** Looks at the machine and at the inside of a test host. */
export async function snapshotHost(host: TestHost): Promise<HostSnapshot> {
  return {
    processes: new Set(ownProcesses(host)),
    mounts: new Set(mountPoints()),
    namespaces: new Set(namesIn("/run/netns")),
    links: new Set([...(await linksOf(undefined)), ...(await linksOf(host))]),
    routes: new Set(await routesOf(host)),
    cgroups: new Set(cgroupFolders("/sys/fs/cgroup")),
    netfilter: new Set([...(await rulesOf(undefined)), ...(await rulesOf(host))]),
    files: new Set([...filesBelow("/run/coracle"), ...filesBelow("/var/lib/coracle"), ...temporaryFiles(host)]),
  };
}

/**
 * What is new since `before`, one line each; empty when nothing is left. Looks again for a while: the end of a
 * process or of a mount can be seen a moment later. On a machine where others work too
 * (CORACLE_SHARED_MACHINE=1) only what names this host or `names` counts.
 */
export async function hostLeftovers(
  host: TestHost,
  before: HostSnapshot,
  names: readonly string[] = [],
): Promise<string[]> {
  const isShared = process.env["CORACLE_SHARED_MACHINE"] === "1";
  const ours = (kind: string, item: string): boolean =>
    !isShared || kind === "processes" || kind === "routes" || [host.name, ...names].some((name) => item.includes(name));
  const end = systemClock.monotonicMs() + GONE_WITHIN_MS;
  for (;;) {
    const now = await snapshotHost(host);
    const left = KINDS.flatMap((kind) =>
      [...now[kind]].filter((item) => !before[kind].has(item) && ours(kind, item)).map((item) => `${kind}: ${item}`),
    );
    if (left.length === 0 || systemClock.monotonicMs() > end) return left;
    await sleep(systemClock, LOOK_EVERY_MS);
  }
}

const namesIn = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Processes in the host's namespace, started with its mark, or with a root folder of a cluster's container. */
function ownProcesses(host: TestHost): string[] {
  const inside = new Set(host.processes());
  const found: string[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const mine =
        inside.has(pid) ||
        readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${MARKER}=${host.name}\0`) ||
        rootOf(pid).includes(host.name);
      if (mine)
        found.push(`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")} (${netnsOf(pid)})`);
    } catch {
      // Gone meanwhile.
    }
  }
  return found;
}

/** The mount that a process has as its root folder, with its options: an overlay names the cluster's data folder. */
function rootOf(pid: number): string {
  for (const line of readFileSync(`/proc/${pid}/mountinfo`, "utf8").split("\n"))
    if (line.split(" ")[4] === "/") return line;
  return "";
}

const netnsOf = (pid: number): string => readlinkSync(`/proc/${pid}/ns/net`);

function mountPoints(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
}

async function linesOf(host: TestHost | undefined, command: string, args: readonly string[]): Promise<string[]> {
  const execute = host === undefined ? run : host.run.bind(host);
  const { stdout } = await execute(command, args, { allowFailure: true });
  return stdout.split("\n").map((line) => line.trim());
}

/** Whether a link's other end is up says nothing of who made a route. */
async function routesOf(host: TestHost): Promise<string[]> {
  const lines = await linesOf(host, "ip", ["route", "show", "table", "all"]);
  return lines.map((line) => line.replaceAll(/ (linkdown|dead)\b/g, ""));
}

async function linksOf(host: TestHost | undefined): Promise<string[]> {
  const lines = await linesOf(host, "ip", ["-o", "link"]);
  return lines.map((line) => `${host?.name ?? "machine"} ${line.split(":")[1]?.trim() ?? ""}`);
}

interface NftItem {
  readonly table?: { readonly family: string; readonly name: string };
  readonly chain?: { readonly family: string; readonly table: string; readonly name: string; readonly hook?: string };
  readonly rule?: { readonly family: string; readonly table: string; readonly chain: string; readonly expr: unknown };
}

/** Tables that iptables makes when it is asked anything at all; without rules they do nothing. */
const IPTABLES_TABLES = ["raw", "mangle", "nat", "filter", "security"];

async function rulesOf(host: TestHost | undefined): Promise<string[]> {
  const where = host?.name ?? "machine";
  const isIptables = (family: string, table: string): boolean =>
    (family === "ip" || family === "ip6") && IPTABLES_TABLES.includes(table);
  const [json = ""] = await linesOf(host, "nft", ["-j", "list", "ruleset"]);
  const items = json === "" ? [] : (JSON.parse(json) as { nftables: NftItem[] }).nftables;
  const found: string[] = [];
  for (const { table, chain, rule } of items) {
    if (table !== undefined && !isIptables(table.family, table.name)) found.push(`table ${table.family} ${table.name}`);
    if (chain !== undefined && !(isIptables(chain.family, chain.table) && chain.hook !== undefined))
      found.push(`chain ${chain.family} ${chain.table} ${chain.name}`);
    // Counters differ without anybody having done anything.
    if (rule !== undefined)
      found.push(
        `rule ${rule.family} ${rule.table} ${rule.chain} ` +
          JSON.stringify(rule.expr).replace(/"(packets|bytes)": ?\d+/g, ""),
      );
  }
  const legacy = existsSync("/proc/net/ip_tables_names") ? await linesOf(host, "iptables-legacy-save", []) : [];
  for (const line of legacy) if (line.startsWith("-A")) found.push(`legacy ${line}`);
  return found.map((line) => `${where} ${line}`);
}

function cgroupFolders(dir: string, depth = 0): string[] {
  if (depth > 8 || !existsSync(dir)) return [];
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => [join(dir, entry.name), ...cgroupFolders(join(dir, entry.name), depth + 1)]);
  } catch (error) {
    if (["ENOENT", "ENODEV"].includes((error as NodeJS.ErrnoException).code ?? "")) return []; // removed meanwhile
    throw error;
  }
}

function filesBelow(dir: string): string[] {
  return namesIn(dir).map((name) => join(dir, name));
}

function temporaryFiles(host: TestHost): string[] {
  // Node's own cache of compiled code is nobody's leak.
  return filesBelow("/tmp").filter((path) => path !== host.dir && !path.includes("node-compile-cache"));
}
