import { methodNotAllowed } from "@coracle/apimachinery";
import type { ResourceHandler } from "./registry.ts";
import type { ResourceCore } from "./resource-core.ts";
import { bindPod } from "./subresources/binding.ts";

/** `bindings`: the old form of `pods/binding`; nothing but create. */
export function createBindingHandler(pods: ResourceCore): ResourceHandler {
  const refuse = (verb: string) => (): never => {
    throw methodNotAllowed({ group: "", resource: "bindings" }, verb);
  };
  return {
    definition: { group: "", version: "v1", plural: "bindings", kind: "Binding" },
    create: (context, namespace, body, query) => bindPod(pods, context, namespace, undefined, body, query),
    get: refuse("get"),
    list: refuse("list"),
    watch: refuse("watch"),
    update: refuse("update"),
    patch: refuse("patch"),
    delete: refuse("delete"),
    deleteCollection: refuse("deletecollection"),
    subresource: () => undefined,
  };
}
