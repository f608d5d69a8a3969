import { run } from "../process/run.ts";

export type IpFamily = "ipv4" | "ipv6";
/** Which kernel interface iptables uses: the host's choice, or one by name. */
export type IptablesBackend = "default" | "nft" | "legacy";

function iptablesProgram(family: IpFamily, backend: IptablesBackend, suffix: string): string {
  return `${family === "ipv6" ? "ip6tables" : "iptables"}${backend === "default" ? "" : `-${backend}`}${suffix}`;
}

export interface IptablesOptions {
  readonly family?: IpFamily;
  readonly backend?: IptablesBackend;
}

/** Applies a script of iptables-restore(8) in one transaction per table; other chains stay as they are. */
export async function iptablesRestore(script: string, options: IptablesOptions = {}): Promise<void> {
  const program = iptablesProgram(options.family ?? "ipv4", options.backend ?? "default", "-restore");
  await run(program, ["--noflush", "--wait", "5"], { input: script });
}

/** One iptables(8) command; the exit code is the answer. */
export async function iptables(args: readonly string[], options: IptablesOptions = {}): Promise<number> {
  const program = iptablesProgram(options.family ?? "ipv4", options.backend ?? "default", "");
  return (await run(program, ["--wait", "5", ...args], { allowFailure: true })).code;
}

/** The rules of one table in iptables-save(8) form. */
export async function iptablesSave(table: string, options: IptablesOptions = {}): Promise<string> {
  const program = iptablesProgram(options.family ?? "ipv4", options.backend ?? "default", "-save");
  return (await run(program, ["-t", table])).stdout;
}

/** Applies an nft(8) script in one transaction. */
export async function nft(script: string): Promise<void> {
  await run("nft", ["-f", "-"], { input: script });
}

/** `nft -j ARGS`, parsed; undefined when what was asked for does not exist. */
export async function nftJson(args: readonly string[]): Promise<unknown> {
  const result = await run("nft", ["-j", ...args], { allowFailure: true });
  if (result.code === 0) return JSON.parse(result.stdout);
  if (result.stderr.includes("No such file or directory")) return undefined;
  throw new Error(`nft ${args.join(" ")}: ${result.stderr.trim()}`);
}

/** Forgets tracked connections, e.g. `["-p", "udp", "--orig-dst", ip]`; none found is no error. */
export async function deleteConntrack(args: readonly string[]): Promise<void> {
  const result = await run("conntrack", ["-D", ...args], { allowFailure: true });
  if (result.code !== 0 && !result.stderr.includes("0 flow entries")) {
    throw new Error(`conntrack -D ${args.join(" ")}: ${result.stderr.trim()}`);
  }
}
