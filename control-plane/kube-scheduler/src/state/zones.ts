import type { NodeState } from "./node-state.ts";

const zoneOf = ({ node }: NodeState): string => {
  const labels = node?.metadata.labels;
  return `${labels?.["topology.kubernetes.io/region"] ?? ""}\u0000${labels?.["topology.kubernetes.io/zone"] ?? ""}`;
};

/** One node of each zone in turn, so that the first nodes of the list are never all in one zone. */
export function byZones(nodes: readonly NodeState[]): readonly NodeState[] {
  const zones = new Map<string, NodeState[]>();
  for (const node of nodes) {
    const zone = zoneOf(node);
    const list = zones.get(zone);
    if (list === undefined) zones.set(zone, [node]);
    else list.push(node);
  }
  if (zones.size < 2) return nodes;
  const lists = [...zones.values()];
  const longest = Math.max(...lists.map((list) => list.length));
  const mixed: NodeState[] = [];
  for (let i = 0; i < longest; i++) {
    for (const list of lists) {
      const node = list[i];
      if (node !== undefined) mixed.push(node);
    }
  }
  return mixed;
}
