import type { Pod } from "@coracle/api/core/v1";
import { MAX_NODE_SCORE, type CycleState, type Plugin, type Snapshot } from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";

const NAME = "ImageLocality";
const MIB = 1024 * 1024;
/** Images together smaller than this are not worth a move; larger than MAX count alike. */
const MIN_BYTES = 23 * MIB;
const MAX_BYTES_PER_CONTAINER = 1000 * MIB;

function imageSizes(node: NodeState): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const image of node.node?.status?.images ?? []) {
    for (const name of image.names ?? []) sizes.set(name, image.sizeBytes ?? 0);
  }
  return sizes;
}

/** With a tag, as node status names images. */
function normalized(image: string): string {
  return image.lastIndexOf(":") <= image.lastIndexOf("/") ? `${image}:latest` : image;
}

const imagesOf = (pod: Pod): string[] =>
  [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(({ image = "" }) => normalized(image));

/** What an image of this size, on so many of all nodes, is worth. */
const worth = (size: number, nodes: number, all: number): number => Math.floor(size * (nodes / all));

function scaled(sum: number, containers: number): number {
  const max = MAX_BYTES_PER_CONTAINER * containers;
  const counted = sum < MIN_BYTES ? MIN_BYTES : Math.min(sum, max);
  return Math.floor((MAX_NODE_SCORE * (counted - MIN_BYTES)) / (max - MIN_BYTES));
}

/** Likes nodes that have the pod's images, the more so the larger they are and the more nodes have them. */
export const imageLocality: Plugin = {
  name: NAME,
  preScore(state, _pod, nodes, snapshot: Snapshot) {
    // With one node in sight there is nothing to choose.
    if (nodes.length < 2) return { skip: true };
    const all = snapshot.nodes();
    const spread = new Map<string, number>();
    const sizes = new Map<string, Map<string, number>>();
    for (const node of all) {
      const own = imageSizes(node);
      sizes.set(node.name, own);
      for (const name of own.keys()) spread.set(name, (spread.get(name) ?? 0) + 1);
    }
    state.set(NAME, { spread, sizes, total: all.length });
    return { skip: false };
  },
  score(state: CycleState, pod, node) {
    const kept = state.get(NAME) as {
      spread: Map<string, number>;
      sizes: Map<string, Map<string, number>>;
      total: number;
    };
    const own = kept.sizes.get(node.name);
    const names = imagesOf(pod);
    let sum = 0;
    for (const name of names) {
      const size = own?.get(name);
      if (size !== undefined) sum += worth(size, kept.spread.get(name) ?? 0, kept.total);
    }
    return scaled(sum, names.length);
  },
  columns: {
    nodePart(pod, { table }) {
      const names = imagesOf(pod);
      const { images } = table;
      const isAnywhere = (): boolean => names.some((name) => images.sizes(name).size > 0);
      return {
        kind: "node",
        isStatic: true,
        score(slot) {
          let sum = 0;
          for (const name of names) {
            const sizes = images.sizes(name);
            const size = sizes.get(slot);
            if (size !== undefined) sum += worth(size, sizes.size, table.aliveCount);
          }
          return scaled(sum, names.length);
        },
        // Images that are somewhere are worth less the more nodes there are.
        version: () =>
          names.reduce(
            (mixed, name) => (mixed * 31 + images.versionOf(name)) % 2 ** 40,
            isAnywhere() ? table.aliveCount : 0,
          ),
      };
    },
  },
};
