import {
  compareQuantities,
  forbidden,
  formatQuantity,
  isPodLevelResource,
  parseQuantity,
  podLimits,
  podRequests,
  readAmounts,
  type Amounts,
  type Quantity,
} from "@coracle/apimachinery";
import type { LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { ApiDraft } from "../registry/resource-definition.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf, type MutablePodSpec } from "./pod-draft.ts";

const LIMIT_RANGES = { group: "", version: "v1", plural: "limitranges" };
const ANNOTATION = "kubernetes.io/limit-ranger";

type List = Record<string, string>;
interface Resources {
  requests?: List;
  limits?: List;
}

interface Asked {
  readonly requests: Amounts;
  readonly limits: Amounts;
}

const isOver = (a: Quantity, b: Quantity): boolean => compareQuantities(a, b) > 0;

/** Fills what a container does not say; tells what was set, requests first. */
function applyDefaults(container: Record<string, unknown>, defaults: Required<Resources>, word: string): string[] {
  const resources = (container["resources"] ??= {}) as Resources;
  const notes: string[] = [];
  for (const side of ["requests", "limits"] as const) {
    const names = Object.keys(defaults[side]).filter((name) => resources[side]?.[name] === undefined);
    if (names.length === 0) continue;
    const filled: List = { ...resources[side] };
    for (const name of names) filled[name] = defaults[side][name]!;
    resources[side] = filled;
    notes.push(`${names.toSorted().join(", ")} ${side.slice(0, -1)} for ${word} ${String(container["name"])}`);
  }
  return notes;
}

/** What a range gives to containers that do not say. */
function defaultsOf(range: LimitRange): Required<Resources> {
  const out: Required<Resources> = { requests: {}, limits: {} };
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== "Container") continue;
    Object.assign(out.requests, item.defaultRequest);
    Object.assign(out.limits, item.default);
  }
  return out;
}

function applyRange(attributes: AdmissionAttributes, spec: MutablePodSpec, range: LimitRange): void {
  const defaults = defaultsOf(range);
  const notes = [
    ...(spec.containers ?? []).flatMap((container) => applyDefaults(container, defaults, "container")),
    ...(spec.initContainers ?? []).flatMap((container) => applyDefaults(container, defaults, "init container")),
  ];
  if (notes.length === 0) return;
  const { metadata } = attributes.object!;
  metadata["annotations"] = {
    ...(metadata["annotations"] as List | undefined),
    [ANNOTATION]: `LimitRanger plugin set: ${notes.join("; ")}`,
  };
}

type Bounds = "min" | "max" | "maxLimitRequestRatio";

/** Why a bound is broken, in upstream's words; the first reason only. */
function whyBroken(bounds: Bounds, type: string, name: string, bound: Quantity, asked: Asked): string | undefined {
  const request = asked.requests.get(name);
  const limit = asked.limits.get(name);
  const is = formatQuantity(bound);
  if (bounds === "min") {
    const rule = `minimum ${name} usage per ${type} is ${is}`;
    if (request === undefined) return `${rule}.  No request is specified`;
    if (isOver(bound, request)) return `${rule}, but request is ${formatQuantity(request)}`;
    return limit !== undefined && isOver(bound, limit) ? `${rule}, but limit is ${formatQuantity(limit)}` : undefined;
  }
  if (bounds === "max") {
    const rule = `maximum ${name} usage per ${type} is ${is}`;
    if (limit === undefined) return `${rule}.  No limit is specified`;
    if (isOver(limit, bound)) return `${rule}, but limit is ${formatQuantity(limit)}`;
    return request !== undefined && isOver(request, bound)
      ? `${rule}, but request is ${formatQuantity(request)}`
      : undefined;
  }
  const rule = `${name} max limit to request ratio per ${type} is ${is}`;
  if (request === undefined || request.nano === 0n) return `${rule}, but no request is specified or request is 0`;
  if (limit === undefined || limit.nano === 0n) return `${rule}, but no limit is specified or limit is 0`;
  const ratio = Number(limit.nano) / Number(request.nano);
  return ratio > Number(bound.nano) / 1e9 ? `${rule}, but provided ratio is ${ratio.toFixed(6)}` : undefined;
}

function broken(item: LimitRangeItem, asked: Asked): string[] {
  return (["min", "max", "maxLimitRequestRatio"] as const).flatMap((bounds) =>
    Object.entries((item[bounds] ?? {}) as List).flatMap(
      ([name, text]) => whyBroken(bounds, item.type, name, parseQuantity(text), asked) ?? [],
    ),
  );
}

const askedBy = (resources: Resources | undefined): Asked => ({
  requests: readAmounts(resources?.requests),
  limits: readAmounts(resources?.limits),
});

/** What the containers ask for together, or what is said for the pod as a whole; without overhead. */
function askedByPod(spec: MutablePodSpec): Asked {
  const own = (list: List | undefined): List =>
    Object.fromEntries(
      Object.entries(list ?? {}).filter(([name]) => isPodLevelResource(name) && !name.startsWith("hugepages-")),
    );
  const { requests, limits } = (spec.resources ?? {}) as Resources;
  const { containers, initContainers } = spec;
  const resources = { requests: own(requests), limits: own(limits) };
  const pod = { metadata: {}, spec: { containers, initContainers, resources } } as unknown as Pod;
  return { requests: podRequests(pod), limits: podLimits(pod) };
}

function brokenByPod(spec: MutablePodSpec, range: LimitRange): string[] {
  const problems: string[] = [];
  for (const item of range.spec?.limits ?? []) {
    if (item.type === "Pod") problems.push(...broken(item, askedByPod(spec)));
    if (item.type !== "Container") continue;
    for (const { resources } of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
      problems.push(...broken(item, askedBy(resources as Resources | undefined)));
    }
  }
  return problems;
}

function brokenByClaim({ spec }: PersistentVolumeClaim, range: LimitRange): string[] {
  const requests = readAmounts(spec?.resources?.requests as List | undefined);
  return (range.spec?.limits ?? []).flatMap((item) => {
    if (item.type !== "PersistentVolumeClaim") return [];
    // A claim has no limits: what it asks for is what it gets.
    const max = Object.entries((item.max ?? {}) as List).flatMap(([name, text]) => {
      const bound = parseQuantity(text);
      const request = requests.get(name);
      const rule = `maximum ${name} usage per ${item.type} is ${formatQuantity(bound)}`;
      if (request === undefined) return [`${rule}.  No request is specified`];
      return isOver(request, bound) ? [`${rule}, but request is ${formatQuantity(request)}`] : [];
    });
    const { max: _max, maxLimitRequestRatio: _ratio, ...rest } = item;
    return [...broken(rest, { requests, limits: new Map() }), ...max];
  });
}

/** Pods get the namespace's default requests and limits; pods, their containers and claims stay within its bounds. */
export function limitRanger(objects: RegistryReader): AdmissionPlugin {
  const concerns = ({ operation, subresource, resource, oldObject }: AdmissionAttributes): boolean => {
    if (oldObject?.metadata["deletionTimestamp"] !== undefined) return false;
    return resource !== "pods" || operation === "CREATE" || subresource === "resize";
  };
  const rangesOf = async (namespace: string): Promise<readonly LimitRange[]> =>
    (await objects.list(LIMIT_RANGES, namespace)) as unknown as readonly LimitRange[];

  async function applyRanges(attributes: AdmissionAttributes): Promise<void> {
    const spec = podSpecOf(attributes);
    if (spec === undefined) return;
    for (const range of await rangesOf(attributes.namespace)) applyRange(attributes, spec, range);
  }

  async function checkRanges(attributes: AdmissionAttributes, object: ApiDraft): Promise<void> {
    const { group, resource, name } = attributes;
    for (const range of await rangesOf(attributes.namespace)) {
      const spec = podSpecOf(attributes);
      const found =
        resource === "pods"
          ? spec === undefined
            ? []
            : brokenByPod(spec, range)
          : brokenByClaim(object as unknown as PersistentVolumeClaim, range);
      const problems = [...new Set(found)];
      if (problems.length === 0) continue;
      throw forbidden({ group, resource }, name, problems.length === 1 ? problems[0]! : `[${problems.join(", ")}]`);
    }
  }

  return {
    name: "LimitRanger",
    scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods", "/pods/resize", "/persistentvolumeclaims"] },
    admit(attributes) {
      if (attributes.resource !== "pods" || objects.hasNone(LIMIT_RANGES) || !concerns(attributes)) return undefined;
      return applyRanges(attributes);
    },
    validate(attributes) {
      if (attributes.object === undefined || objects.hasNone(LIMIT_RANGES) || !concerns(attributes)) return undefined;
      return checkRanges(attributes, attributes.object);
    },
  };
}
