import { run } from "../process/run.ts";

/** Prefix that runs a program in a network namespace (not `ip netns exec`, which hides the cgroups). */
export function inNetworkNamespace(
  path: string | undefined,
  command: string,
  args: readonly string[],
): readonly [string, readonly string[]] {
  return path === undefined ? [command, args] : ["nsenter", [`--net=${path}`, command, ...args]];
}

/** Runs lines of ip(8) in one process; stops at the first that fails unless `force`. */
export async function ipBatch(
  lines: readonly string[],
  options: { readonly netns?: string | undefined; readonly force?: boolean } = {},
): Promise<void> {
  if (lines.length === 0) return;
  const args = [...(options.force === true ? ["-force"] : []), "-batch", "-"];
  const [command, all] = inNetworkNamespace(options.netns, "ip", args);
  await run(command, all, { input: `${lines.join("\n")}\n`, allowFailure: options.force === true });
}

/** `ip -j ARGS`, parsed. */
export async function ipJson(
  args: readonly string[],
  options: { readonly netns?: string | undefined } = {},
): Promise<unknown> {
  const [command, all] = inNetworkNamespace(options.netns, "ip", ["-j", ...args]);
  const { stdout } = await run(command, all);
  return stdout.trim() === "" ? [] : JSON.parse(stdout);
}
