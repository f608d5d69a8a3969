import type { PluginEntry } from "./filtering.ts";
import type { Plugin } from "./plugin.ts";

/** Plugins under a scheduler's name: pods with this `spec.schedulerName` are placed by them. */
export interface Profile {
  readonly schedulerName: string;
  /** In calling order. */
  readonly plugins: readonly PluginEntry[];
  /** So many percent of the nodes are enough to choose from; 0 or absent: the scheduler's choice. */
  readonly percentageOfNodesToScore?: number | undefined;
  /** Who takes part in what follows a decision, so that nobody else is asked. */
  readonly at: Readonly<Record<LatePoint, readonly Plugin[]>>;
}

/** Extension points around the search for a node, by the member of Plugin that is called. */
export type LatePoint =
  | "preEnqueue"
  | "postFilter"
  | "reserve"
  | "unreserve"
  | "permit"
  | "preBind"
  | "bind"
  | "postBind";

/** A profile of plugins in calling order. */
export function createProfile(
  schedulerName: string,
  plugins: readonly PluginEntry[],
  percentageOfNodesToScore?: number,
): Profile {
  const having = (point: LatePoint): Plugin[] =>
    plugins.flatMap(({ plugin }) => (plugin[point] === undefined ? [] : [plugin]));
  return {
    schedulerName,
    plugins,
    percentageOfNodesToScore,
    at: {
      preEnqueue: having("preEnqueue"),
      postFilter: having("postFilter"),
      reserve: having("reserve"),
      unreserve: having("unreserve").reverse(),
      permit: having("permit"),
      preBind: having("preBind"),
      bind: having("bind"),
      postBind: having("postBind"),
    },
  };
}
