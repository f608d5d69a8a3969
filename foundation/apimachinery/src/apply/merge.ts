import { isObject, type Draft } from "../json/json.ts";
import { isMember, type FieldSet } from "./field-set.ts";
import { elementOrNothing, indexItems } from "./list-items.ts";
import { deduce, memberTypeOf, type ListType, type MapType, type MergeType, type StructType } from "./merge-type.ts";

/**
 * The live value with a configuration laid over it: members and list items that the configuration does not name stay,
 * scalars and atomic values are replaced. Shares parts with both.
 */
export function mergeConfig(type: MergeType, live: unknown, config: unknown): unknown {
  if (config === undefined) return live;
  if (live === undefined) return config;
  switch (type.kind) {
    case "scalar":
      return config;
    case "deduced": {
      const form = deduce(config);
      return form === deduce(live) ? mergeConfig(form, live, config) : config;
    }
    case "list":
      if (type.isAtomic || (lengthOf(live) === 0 && lengthOf(config) === 0)) return config;
      return mergeItems(type, Array.isArray(live) ? live : [], Array.isArray(config) ? config : []);
    default:
      if (type.isAtomic || (sizeOf(live) === 0 && sizeOf(config) === 0)) return config;
      return mergeMembers(type, isObject(live) ? live : {}, isObject(config) ? config : {});
  }
}

const lengthOf = (value: unknown): number => (Array.isArray(value) ? value.length : 0);
const sizeOf = (value: unknown): number => (isObject(value) ? Object.keys(value).length : 0);

function mergeMembers(type: StructType | MapType, live: Draft, config: Draft): Draft {
  const out: Draft = { ...live };
  for (const [key, wanted] of Object.entries(config)) {
    const memberType = memberTypeOf(type, key);
    const merged = memberType === undefined ? wanted : mergeConfig(memberType, live[key], wanted);
    setOwn(out, key, merged);
  }
  return out;
}

function setOwn(target: Draft, key: string, value: unknown): void {
  if (key !== "__proto__") target[key] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/**
 * Both lists' items: those that both have in the configuration's order, each other item kept behind the item it
 * followed, live ones before the configuration's own.
 */
function mergeItems(type: ListType, live: readonly unknown[], config: readonly unknown[]): unknown[] {
  const lives = live.map((item) => elementOrNothing(type, item) ?? "");
  const configs = config.map((item) => elementOrNothing(type, item) ?? "");
  const liveItems = indexItems(type, live);
  const wanted = new Set(configs);
  const shared = configs.filter((element) => liveItems.has(element));
  let nextShared = 0;
  const done = new Set<string>();
  const out: unknown[] = [];
  const take = (at: number): void => {
    const element = configs[at] as string;
    const same = liveItems.get(element);
    // Several live items under one element cannot be merged into: they are replaced.
    out.push(mergeConfig(type.items, same?.length === 1 ? same[0] : undefined, config[at]));
    done.add(element);
    if (shared[nextShared] === element) nextShared++;
  };
  let l = 0;
  let c = 0;
  while (l < live.length || c < config.length) {
    const element = lives[l] ?? "";
    if (l < live.length && c < config.length) {
      if (element === configs[c]) {
        take(c++);
        l++;
        continue;
      }
      // Comes at its place in the configuration.
      if (wanted.has(element) && shared[nextShared] !== undefined && shared[nextShared] !== element) {
        l++;
        continue;
      }
    }
    if (l < live.length) {
      if (!wanted.has(element)) {
        out.push(live[l++]);
        continue;
      }
      if (done.has(element)) l++;
    }
    if (c < config.length) take(c++);
  }
  return out;
}

/**
 * The value without the paths of the set. What becomes empty by that is null; atomic values below which something is
 * removed go as a whole.
 */
export function removePaths(type: MergeType, value: unknown, paths: FieldSet): unknown {
  switch (type.kind) {
    case "scalar":
      return value;
    case "deduced":
      return removePaths(deduce(value), value, paths);
    case "list":
      return type.isAtomic || !Array.isArray(value) ? null : removeItems(type, value, paths);
    default:
      return type.isAtomic || !isObject(value) ? null : removeMembers(type, value, paths);
  }
}

function removeItems(type: ListType, items: readonly unknown[], paths: FieldSet): unknown {
  const out: unknown[] = [];
  for (const item of items) {
    const element = elementOrNothing(type, item);
    const node = element === undefined ? undefined : paths[element];
    if (node === undefined) out.push(item);
    else if (!isMember(node)) out.push(removePaths(type.items, item, node));
  }
  return out.length === 0 ? null : out;
}

function removeMembers(type: StructType | MapType, value: Draft, paths: FieldSet): unknown {
  const out: Draft = {};
  for (const [key, member] of Object.entries(value)) {
    const node = paths[`f:${key}`];
    const memberType = memberTypeOf(type, key);
    if (node === undefined || memberType === undefined) setOwn(out, key, member);
    else if (!isMember(node)) setOwn(out, key, removePaths(memberType, member, node));
  }
  return Object.keys(out).length === 0 ? null : out;
}

/** The set with every declared member on the way to one of its paths: what holds nothing else goes with its content. */
export function withNamedParents(type: MergeType | undefined, set: FieldSet): FieldSet {
  const out: { [element: string]: FieldSet } = {};
  for (const [element, node] of Object.entries(set)) {
    if (element === ".") {
      out[element] = node;
      continue;
    }
    const key = element.slice(2);
    const isNamed = type?.kind === "struct" && element.startsWith("f:") && type.fields.has(key);
    const children = withNamedParents(typeBelow(type, element, key), node);
    out[element] = isNamed && children["."] === undefined && !isMember(node) ? { ".": {}, ...children } : children;
  }
  return out;
}

function typeBelow(type: MergeType | undefined, element: string, key: string): MergeType | undefined {
  if (type === undefined) return undefined;
  if (element.startsWith("f:")) {
    if (type.kind === "deduced") return type;
    return type.kind === "struct" || type.kind === "map" ? memberTypeOf(type, key) : undefined;
  }
  return element.startsWith("k:") && type.kind === "list" ? type.items : undefined;
}
