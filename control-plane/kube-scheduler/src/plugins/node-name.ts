import type { Plugin } from "../framework/plugin.ts";

/** A pod that names its node goes there or nowhere. */
export const nodeName: Plugin = {
  name: "NodeName",
  events: ["node-added"],
  filter(_, pod, { name }) {
    const wanted = pod.spec.nodeName ?? "";
    return wanted === "" || wanted === name
      ? undefined
      : { reasons: ["node(s) didn't match the requested node name"], isFinal: true };
  },
};
