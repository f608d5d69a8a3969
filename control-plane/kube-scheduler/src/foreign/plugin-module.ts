import { dirname, resolve } from "node:path";
import type { Clock, Logger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import type { Pod } from "@coracle/api/core/v1";
import type { WaitingPod } from "../binding/waiting-pods.ts";
import type { SchedulerConfiguration } from "../config/configuration.ts";
import type { Plugin, Snapshot } from "../framework/plugin.ts";

/** What a user's plugin is given to work with. */
export interface PluginHandle {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The nodes and what is placed on them, as it is when asked. */
  readonly snapshot: Snapshot;
  /** Pods that `permit` holds back. */
  waitingPods(): readonly WaitingPod[];
  /** Lets these pods be tried now, whatever they wait for. */
  activate(pods: Iterable<Pod>): void;
}

/** Makes a user's plugin: once a profile that has it. `args` are those of `pluginConfig`. */
export type PluginFactory = (args: Readonly<Record<string, unknown>>, handle: PluginHandle) => Plugin;

/**
 * Loads the ES modules that `pluginConfig` names in `args.module`: a path, relative to the configuration file. The default
 * export is the plugin's factory. Answers them by the plugin's name. Throws an Error that names the plugin.
 */
export async function loadPluginModules(
  { profiles }: SchedulerConfiguration,
  configFile: string,
): Promise<ReadonlyMap<string, PluginFactory>> {
  const factories = new Map<string, PluginFactory>();
  for (const { name, args } of profiles.flatMap(({ pluginConfig }) => pluginConfig)) {
    const module = args?.module;
    if (typeof module !== "string" || factories.has(name)) continue;
    factories.set(name, await load(name, resolve(dirname(configFile), module)));
  }
  return factories;
}

async function load(name: string, path: string): Promise<PluginFactory> {
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(path)) as { readonly default?: unknown };
  } catch (error) {
    throw new Error(`loading plugin ${JSON.stringify(name)} from ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  // Bundled, a module comes wrapped once more.
  const inner = loaded.default as { readonly default?: unknown } | undefined;
  const factory = typeof inner === "function" ? inner : inner?.default;
  if (typeof factory !== "function")
    throw new Error(`loading plugin ${JSON.stringify(name)} from ${path}: its default export is no function`);
  return factory as PluginFactory;
}
