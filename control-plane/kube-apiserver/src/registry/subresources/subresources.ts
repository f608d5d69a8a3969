import { objectSubresource } from "../generic-handler.ts";
import { allButStatus, statusOnly } from "../fallback-definition.ts";
import type { PatchPort } from "../patch-verb.ts";
import type { SubresourceHandler } from "../registry.ts";
import type { ResourceCore } from "../resource-core.ts";
import type { UpdateStrategy } from "../resource-definition.ts";
import { bindPod } from "./binding.ts";
import { evictPod, type EvictionDeps } from "./eviction.ts";
import { createScaleSubresource } from "./scale.ts";

/** Written like the object itself; how, when the kind's definition does not say. */
const OBJECT_WAYS: Readonly<Record<string, UpdateStrategy | undefined>> = {
  status: statusOnly,
  finalize: allButStatus,
  approval: {},
};

/** The subresources of a resource that read and write through the registry. Others (log, exec, token …) are not here. */
export function subresourcesOf(
  core: ResourceCore,
  patches: PatchPort,
  eviction: Omit<EvictionDeps, "pods"> | undefined,
): ReadonlyMap<string, SubresourceHandler> {
  const out = new Map<string, SubresourceHandler>();
  for (const name of Object.keys(core.entry.subresources ?? {})) {
    const strategy = core.definition.subresources?.[name] ?? OBJECT_WAYS[name];
    if (strategy !== undefined) out.set(name, objectSubresource(core, patches, { subresource: name, strategy }));
    else if (name === "scale") out.set(name, createScaleSubresource(core, patches));
  }
  if (core.entry.group === "" && core.entry.plural === "pods") {
    out.set("binding", {
      create: (context, namespace, name, body, query) => bindPod(core, context, namespace, name, body, query),
    });
    if (eviction !== undefined) {
      const deps = { pods: core, ...eviction };
      out.set("eviction", {
        create: (context, namespace, name, body, query) => evictPod(deps, context, namespace, name, body, query),
      });
    }
  }
  return out;
}
