import type { Plugin, Unfit } from "../framework/plugin.ts";

const UNFIT: Unfit = { reasons: ["node(s) didn't match the requested node name"], isFinal: true };

/** A pod that names its node goes there or nowhere. */
export const nodeName: Plugin = {
  name: "NodeName",
  events: ["node-added"],
  filter(_, pod, { name }) {
    const wanted = pod.spec.nodeName ?? "";
    return wanted === "" || wanted === name ? undefined : UNFIT;
  },
  columns: {
    nodePart(pod, { table }) {
      const wanted = pod.spec.nodeName ?? "";
      if (wanted === "") return undefined;
      return {
        kind: "node",
        isStatic: true,
        filter: (slot) => (table.state(slot)?.name === wanted ? undefined : UNFIT),
      };
    },
  },
};
