import { compareQuantities, forbidden, parseQuantity } from "@coracle/apimachinery";
import type { LimitRange, LimitRangeItem } from "@coracle/api/core/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

const LIMIT_RANGES = { group: "", version: "v1", plural: "limitranges" };

type Amounts = Record<string, string>;
interface Resources {
  requests?: Amounts;
  limits?: Amounts;
}

const above = (a: string, b: string): boolean => compareQuantities(parseQuantity(a), parseQuantity(b)) > 0;

/** Fills what a container does not ask for; a default limit is a request too where there is none. */
function applyDefaults(container: Record<string, unknown>, item: LimitRangeItem): string[] {
  const resources = (container["resources"] ??= {}) as Resources;
  const set: string[] = [];
  for (const [name, value] of Object.entries((item.default ?? {}) as Amounts)) {
    if (resources.limits?.[name] !== undefined) continue;
    resources.limits = { ...resources.limits, [name]: value };
    set.push(`${name} limit`);
  }
  for (const [name, value] of Object.entries((item.defaultRequest ?? {}) as Amounts)) {
    if (resources.requests?.[name] !== undefined) continue;
    resources.requests = { ...resources.requests, [name]: value };
    set.push(`${name} request`);
  }
  return set;
}

/** What of a container breaks the item's bounds, in upstream's words. */
function broken(resources: Resources, item: LimitRangeItem): string[] {
  const { requests = {}, limits = {} } = resources;
  const out: string[] = [];
  for (const [name, bound] of Object.entries((item.min ?? {}) as Amounts)) {
    const request = requests[name];
    const limit = limits[name];
    if (request === undefined) out.push(`minimum ${name} usage per ${item.type} is ${bound}.  No request is specified`);
    else if (above(bound, request))
      out.push(`minimum ${name} usage per ${item.type} is ${bound}, but request is ${request}`);
    if (limit !== undefined && above(bound, limit)) {
      out.push(`minimum ${name} usage per ${item.type} is ${bound}, but limit is ${limit}`);
    }
  }
  for (const [name, bound] of Object.entries((item.max ?? {}) as Amounts)) {
    const request = requests[name];
    const limit = limits[name];
    if (limit === undefined) out.push(`maximum ${name} usage per ${item.type} is ${bound}.  No limit is specified`);
    else if (above(limit, bound)) out.push(`maximum ${name} usage per ${item.type} is ${bound}, but limit is ${limit}`);
    if (request !== undefined && above(request, bound)) {
      out.push(`maximum ${name} usage per ${item.type} is ${bound}, but request is ${request}`);
    }
  }
  return out;
}

/** Pods get the namespace's default requests and limits, and each container stays within its bounds. */
export function limitRanger(objects: RegistryReader): AdmissionPlugin {
  const items = async (namespace: string): Promise<readonly LimitRangeItem[]> => {
    const ranges = (await objects.list(LIMIT_RANGES, namespace)) as unknown as readonly LimitRange[];
    return ranges.flatMap((range) => range.spec?.limits ?? []).filter((item) => item.type === "Container");
  };
  return {
    name: "LimitRanger",
    scope: { operations: ["CREATE"], resources: ["/pods"] },
    async admit(attributes) {
      const spec = podSpecOf(attributes);
      if (spec === undefined) return;
      const notes: string[] = [];
      for (const item of await items(attributes.namespace)) {
        for (const [list, word] of [
          [spec.containers, "container"],
          [spec.initContainers ?? [], "init container"],
        ] as const) {
          for (const container of list) {
            const set = applyDefaults(container, item);
            if (set.length > 0) notes.push(`${set.join(", ")} for ${word} ${container["name"] as string}`);
          }
        }
      }
      if (notes.length === 0) return;
      const { metadata } = attributes.object!;
      metadata["annotations"] = {
        ...(metadata["annotations"] as Amounts | undefined),
        "kubernetes.io/limit-ranger": `LimitRanger plugin set: ${notes.join("; ")}`,
      };
    },
    async validate(attributes) {
      const spec = podSpecOf(attributes);
      if (spec === undefined) return;
      const problems: string[] = [];
      for (const item of await items(attributes.namespace)) {
        for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
          problems.push(...broken((container["resources"] ?? {}) as Resources, item));
        }
      }
      if (problems.length === 0) return;
      const why = problems.length === 1 ? problems[0]! : `[${problems.join(", ")}]`;
      throw forbidden({ group: "", resource: "pods" }, attributes.name, why);
    },
  };
}
