import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@coracle/linux";
import type { PodNetwork, PodNetworkRequest } from "./pod-network.ts";

interface PluginConfig {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
}

interface NetworkConfigList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginConfig[];
}

interface CniResult {
  readonly ips?: readonly { readonly address: string }[];
}

/** Reads `.conflist` and single `.conf`/`.json` files alike. */
export function parseNetworkConfig(text: string, file: string): NetworkConfigList {
  const value = JSON.parse(text) as Partial<NetworkConfigList> & PluginConfig;
  const cniVersion = value.cniVersion ?? "0.1.0";
  const name = value.name ?? "";
  if (name === "") throw new Error(`error parsing configuration list: no name in ${file}`);
  return { cniVersion, name, plugins: value.plugins ?? [value] };
}

const INTERFACE = "eth0";

/**
 * A pod network made by CNI plugins (specification 1.0.0) as programs. The first configuration by file name counts,
 * and is read anew each time, so that an add-on may install it later.
 */
export function createExecPodNetwork(options: {
  readonly confDir: string;
  readonly binDirs: readonly string[];
}): PodNetwork {
  const load = async (): Promise<NetworkConfigList | undefined> => {
    const names = await readdir(options.confDir).catch(() => [] as string[]);
    const [first] = names.filter((name) => /\.(conflist|conf|json)$/.test(name)).sort();
    return first === undefined
      ? undefined
      : parseNetworkConfig(await readFile(join(options.confDir, first), "utf8"), first);
  };

  const exec = async (
    command: "ADD" | "DEL",
    list: NetworkConfigList,
    plugin: PluginConfig,
    request: PodNetworkRequest,
    previous: unknown,
  ): Promise<unknown> => {
    const program = options.binDirs.map((dir) => join(dir, plugin.type)).find((path) => existsSync(path));
    if (program === undefined)
      throw new Error(`failed to find plugin "${plugin.type}" in path [${options.binDirs.join(" ")}]`);
    const { capabilities, ...rest } = plugin;
    const portMappings = request.portMappings
      .filter((p) => (p.hostPort ?? 0) > 0)
      .map((p) => ({
        hostPort: p.hostPort ?? 0,
        containerPort: p.containerPort ?? 0,
        protocol: String(p.protocol ?? "TCP").toLowerCase(),
        ...((p.hostIp ?? "") === "" ? {} : { hostIP: p.hostIp }),
      }));
    const input = {
      ...rest,
      cniVersion: list.cniVersion,
      name: list.name,
      ...(capabilities?.["portMappings"] === true ? { runtimeConfig: { portMappings } } : {}),
      ...(previous === undefined ? {} : { prevResult: previous }),
    };
    const result = await run(program, [], {
      input: JSON.stringify(input),
      allowFailure: true,
      env: {
        PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
        CNI_COMMAND: command,
        CNI_CONTAINERID: request.sandboxId,
        CNI_NETNS: command === "DEL" && !existsSync(request.netnsPath) ? "" : request.netnsPath,
        CNI_IFNAME: INTERFACE,
        CNI_PATH: options.binDirs.join(":"),
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${request.namespace};K8S_POD_NAME=${request.name};K8S_POD_INFRA_CONTAINER_ID=${request.sandboxId};K8S_POD_UID=${request.uid}`,
      },
    });
    if (result.code !== 0)
      throw new Error(
        `plugin type="${plugin.type}" failed (${command.toLowerCase()}): ${pluginError(result.stdout, result.stderr)}`,
      );
    return result.stdout.trim() === "" ? undefined : JSON.parse(result.stdout);
  };

  return {
    async add(request) {
      const list = await load();
      if (list === undefined) throw new Error("cni plugin not initialized");
      let result: unknown;
      for (const plugin of list.plugins) result = await exec("ADD", list, plugin, request, result);
      return { ips: ((result as CniResult | undefined)?.ips ?? []).map((ip) => ip.address.split("/")[0] ?? "") };
    },
    async remove(request) {
      const list = await load();
      if (list === undefined) return;
      for (const plugin of list.plugins.toReversed()) await exec("DEL", list, plugin, request, undefined);
    },
    notReady: async () => ((await load()) === undefined ? "cni plugin not initialized" : undefined),
  };
}

function pluginError(stdout: string, stderr: string): string {
  try {
    const { msg, details } = JSON.parse(stdout) as { msg?: string; details?: string };
    return [msg, details].filter((text) => text !== undefined && text !== "").join("; ");
  } catch {
    return `${stdout}${stderr}`.trim();
  }
}
