import type { Pod } from "@coracle/api/core/v1";
import type { Plugin } from "../framework/plugin.ts";

/** Writes the decision. */
export type Binder = (pod: Pod, nodeName: string) => Promise<void>;

/** Binds by the pod's `binding` subresource. */
export function createDefaultBinder(binder: Binder): Plugin {
  return {
    name: "DefaultBinder",
    async bind(_, pod, nodeName) {
      await binder(pod, nodeName);
      return true;
    },
  };
}
