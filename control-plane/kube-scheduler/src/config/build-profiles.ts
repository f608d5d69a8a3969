import type { Clock } from "@coracle/base";
import type { FieldError } from "@coracle/apimachinery";
import { guardPlugin } from "../foreign/guarded-plugin.ts";
import type { PluginFactory, PluginHandle } from "../foreign/plugin-module.ts";
import type { PluginEntry } from "../framework/filtering.ts";
import { MAX_NODE_SCORE, type Plugin } from "../framework/plugin.ts";
import { createProfile, type Profile } from "../framework/profile.ts";
import { validateFitArgs } from "./args-validation.ts";
import {
  EXTENSION_POINTS,
  type ExtensionPoint,
  type PluginArgs,
  type PluginSets,
  type ProfileConfiguration,
  type SchedulerConfiguration,
} from "./configuration.ts";
import { DEFAULT_PLUGINS } from "./defaults.ts";
import { errorText } from "./read-configuration.ts";

export interface ProfileDeps {
  readonly clock: Clock;
  /** Our own plugins for a profile; `all` answers the profile's plugins once they are known. */
  readonly builtIn: (args: PluginArgs, all: () => readonly PluginEntry[]) => readonly PluginEntry[];
  /** Plugins of the user. */
  readonly foreign: ReadonlyMap<string, PluginFactory>;
  readonly handle: PluginHandle;
  /** Put around each plugin of a profile. */
  readonly around?: ((plugin: Plugin, schedulerName: string) => Plugin) | undefined;
}

/** What of a plugin is called at an extension point. */
const MEMBERS: Readonly<Record<ExtensionPoint, readonly (keyof Plugin)[]>> = {
  preEnqueue: ["preEnqueue"],
  queueSort: ["queueSort"],
  preFilter: ["preFilter"],
  filter: ["filter"],
  postFilter: ["postFilter"],
  preScore: ["preScore"],
  score: ["score", "normalize"],
  reserve: ["reserve", "unreserve"],
  permit: ["permit"],
  preBind: ["preBind", "needsPreBind"],
  bind: ["bind"],
  postBind: ["postBind"],
};

/** Points whose plugins are called together, in one order. */
const PHASES: readonly (readonly ExtensionPoint[])[] = [
  ["preEnqueue"],
  ["queueSort"],
  ["preFilter", "filter"],
  ["postFilter"],
  ["preScore", "score"],
  ["reserve"],
  ["permit"],
  ["preBind"],
  ["bind"],
  ["postBind"],
];

/** The profiles that a configuration asks for. Throws an Error that says what cannot be had, as upstream does. */
export function buildProfiles(
  { profiles, percentageOfNodesToScore }: SchedulerConfiguration,
  deps: ProfileDeps,
): ReadonlyMap<string, Profile> {
  const built = new Map<string, Profile>();
  for (const profile of profiles) {
    const name = profile.schedulerName ?? "";
    try {
      const percentage = profile.percentageOfNodesToScore ?? percentageOfNodesToScore;
      built.set(name, createProfile(name, pluginsOf(profile, deps), percentage));
    } catch (error) {
      const why = (error as Error).message;
      throw new Error(`initializing profiles: creating profile for scheduler name ${name}: ${why}`, { cause: error });
    }
  }
  return built;
}

function pluginsOf(profile: ProfileConfiguration, deps: ProfileDeps): readonly PluginEntry[] {
  const args = Object.fromEntries(profile.pluginConfig.map(({ name, args: own }) => [name, own ?? {}]));
  const fitErrors: readonly FieldError[] = validateFitArgs((args as PluginArgs).NodeResourcesFit ?? {});
  if (fitErrors.length > 0) throw new Error(`initializing plugin "NodeResourcesFit": ${errorText(fitErrors)}`);
  let entries: readonly PluginEntry[] = [];
  const known = new Map<string, Plugin>();
  for (const { plugin } of deps.builtIn(args as PluginArgs, () => entries)) known.set(plugin.name, plugin);
  const used = new Set(Object.values(profile.plugins).flatMap((set) => (set.enabled ?? []).map(({ name }) => name)));
  for (const [name, create] of deps.foreign) {
    if (!used.has(name)) continue;
    try {
      known.set(name, guardPlugin({ ...bound(create(args[name] ?? {}, deps.handle)), name }, deps.clock));
    } catch (error) {
      throw new Error(`initializing plugin ${JSON.stringify(name)}: ${(error as Error).message}`, { cause: error });
    }
  }
  const { around = (plugin) => plugin } = deps;
  entries = arrange(profile, known).map(({ plugin, weight }) => ({
    plugin: around(plugin, profile.schedulerName ?? ""),
    weight,
  }));
  return entries;
}

/** The plugin's members as functions of their own, also where it is an instance of a class. */
function bound(plugin: Plugin): Plugin {
  const out: Record<string, unknown> = {};
  for (const member of Object.values(MEMBERS).flat().concat("isHelpful")) {
    const value = plugin[member];
    if (typeof value === "function") out[member] = (value as (...args: unknown[]) => unknown).bind(plugin);
  }
  return { ...out, name: plugin.name, ...(plugin.events === undefined ? {} : { events: plugin.events }) };
}

/** Who is called where, in order. */
function arrange({ plugins, schedulerName }: ProfileConfiguration, known: ReadonlyMap<string, Plugin>): PluginEntry[] {
  const own = new Map(CHECKED.map((point) => [point, ownAt(point, plugins, known)]));
  const at = new Map(EXTENSION_POINTS.map((point) => [point, namesAt(point, plugins, known, own.get(point) ?? [])]));
  const sorters = at.get("queueSort") ?? [];
  if (sorters.length !== 1)
    throw new Error(
      `only one queue sort plugin required for profile with scheduler name "${schedulerName}", but got ${sorters.length}`,
    );
  if ((at.get("bind") ?? []).length === 0)
    throw new Error(`at least one bind plugin is needed for profile with scheduler name "${schedulerName}"`);

  const weights = weightsOf(plugins, known);
  const entryOf = (name: string, points: readonly ExtensionPoint[]): PluginEntry => {
    const plugin = known.get(name) as Plugin;
    const scores = plugin.score !== undefined && (at.get("score") ?? []).includes(name);
    return {
      plugin: limitedTo(
        plugin,
        points.filter((point) => at.get(point)?.includes(name)),
      ),
      weight: scores ? (weights.get(name) ?? 1) : 0,
    };
  };
  // One list serves all points if no point asks for an order of its own.
  const order = [
    ...new Set([...(plugins.multiPoint?.enabled ?? []).map(({ name }) => name), ...[...at.values()].flat()]),
  ];
  const inOrder = (names: readonly string[]): boolean => {
    const places = names.map((name) => order.indexOf(name));
    return places.every((place, i) => i === 0 || (places[i - 1] ?? 0) < place);
  };
  const called = order.filter((name) => known.has(name));
  if ([...at.values()].every(inOrder)) return called.map((name) => entryOf(name, EXTENSION_POINTS));
  return PHASES.flatMap((points) => {
    const names = new Set([...points].reverse().flatMap((point) => at.get(point) ?? []));
    return [...names].map((name) => entryOf(name, points));
  });
}

/** Upstream's name of a point's interface. */
const interfaceOf = (point: ExtensionPoint): string => `${point.charAt(0).toUpperCase()}${point.slice(1)}Plugin`;
const isAt = (plugin: Plugin, point: ExtensionPoint): boolean =>
  MEMBERS[point].some((member) => plugin[member] !== undefined);

/** How much each plugin's scores count: as is said where scores are, or else for all points; what says nothing, 1. */
function weightsOf(plugins: PluginSets, known: ReadonlyMap<string, Plugin>): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  let total = 0n;
  for (const { name, weight = 0 } of [...(plugins.score?.enabled ?? []), ...(plugins.multiPoint?.enabled ?? [])]) {
    if (known.get(name)?.score === undefined || weights.has(name)) continue;
    weights.set(name, weight === 0 ? 1 : weight);
    const most = BigInt(weights.get(name) ?? 0) * BigInt(MAX_NODE_SCORE);
    // In 64 bits, as upstream counts: a sum below nothing leaves no room either.
    if (most > BigInt.asIntN(64, MAX_TOTAL - total)) throw new Error("total score of Score plugins could overflow");
    total += most;
  }
  return weights;
}

/** Points in the order in which their plugins are looked at. */
const CHECKED: readonly ExtensionPoint[] = [
  "preFilter",
  "filter",
  "postFilter",
  "reserve",
  "preScore",
  "score",
  "preBind",
  "bind",
  "postBind",
  "permit",
  "preEnqueue",
  "queueSort",
];
const MAX_TOTAL = 2n ** 63n - 1n;

/** Names of the plugins that are enabled at this very point. */
function ownAt(point: ExtensionPoint, plugins: PluginSets, known: ReadonlyMap<string, Plugin>): readonly string[] {
  const own: string[] = [];
  const type = interfaceOf(point);
  for (const { name } of plugins[point]?.enabled ?? []) {
    const plugin = known.get(name);
    if (plugin === undefined) throw new Error(`${type} ${JSON.stringify(name)} does not exist`);
    if (!isAt(plugin, point)) throw new Error(`plugin ${JSON.stringify(name)} does not extend ${type} plugin`);
    if (own.includes(name)) throw new Error(`plugin ${JSON.stringify(name)} already registered as "${type}"`);
    own.push(name);
  }
  return own;
}

/** Names of the plugins at a point: those that override come first, then those of multiPoint, then the rest. */
function namesAt(
  point: ExtensionPoint,
  plugins: PluginSets,
  known: ReadonlyMap<string, Plugin>,
  own: readonly string[],
): readonly string[] {
  const type = interfaceOf(point);
  const off = new Set((plugins[point]?.disabled ?? []).map(({ name }) => name));
  if (off.has("*")) return own;
  const everywhere: string[] = [];
  const overriding = new Set<string>();
  for (const { name } of plugins.multiPoint?.enabled ?? []) {
    const plugin = known.get(name);
    if (plugin === undefined) {
      if (isDefault(name)) continue; // on by default, and not among ours
      throw new Error(`PreFilterPlugin ${JSON.stringify(name)} does not exist`);
    }
    if (!isAt(plugin, point) || off.has(name)) continue;
    if (own.includes(name)) overriding.add(name);
    else if (everywhere.includes(name))
      throw new Error(`plugin ${JSON.stringify(name)} already registered as "${type}"`);
    else everywhere.push(name);
  }
  return [...own.filter((name) => overriding.has(name)), ...everywhere, ...own.filter((name) => !overriding.has(name))];
}

const isDefault = (name: string): boolean => DEFAULT_PLUGINS.some((plugin) => plugin.name === name);

/** The plugin with the members of some points alone; itself if that is all of them. */
function limitedTo(plugin: Plugin, points: readonly ExtensionPoint[]): Plugin {
  const off = EXTENSION_POINTS.filter((point) => isAt(plugin, point) && !points.includes(point));
  if (off.length === 0) return plugin;
  const limited = Object.create(plugin) as Record<string, unknown>;
  for (const member of off.flatMap((point) => MEMBERS[point])) limited[member] = undefined;
  // Columns do for filter and score together.
  if (off.some((point) => ["preFilter", "filter", "preScore", "score"].includes(point))) limited.columns = undefined;
  return limited as unknown as Plugin;
}
