import type { StructuralNode } from "./structural-node.ts";

/** `a.b` below `a`. */
export const childPath = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);
/** `a[b]` below `a`. */
export const keyPath = (path: string, key: string | number): string => `${path}[${key}]`;

/** A place that a path of dots and quoted names leads to. */
export interface FoundNode {
  /** The path as messages show it. */
  readonly path: string;
  readonly node: StructuralNode;
}

/**
 * Follows `.spec.name` or `.spec['some name']` through a schema. Returns a text for paths that lead nowhere.
 * `allowsBrackets`: the second form is allowed.
 */
export function followPath(root: StructuralNode, path: string, allowsBrackets = true): FoundNode | string {
  const tokens = path.match(/'(?:[^'\\]|\\.)*'|[.[\]]|[^.[\]]+/gs) ?? [];
  let node = root;
  let found = "";
  let at = 0;
  const next = (): string | undefined => tokens[at++];
  for (let token = next(); token !== undefined; token = next()) {
    let name: string;
    if (token === "[") {
      if (!allowsBrackets) return "array notation is not allowed";
      const quoted = next();
      if (quoted === undefined) return "unexpected end of JSON path";
      if (!/^'.*'$/s.test(quoted) || quoted.length < 2) return `expected single quoted string but got ${quoted}`;
      name = quoted.slice(1, -1).replaceAll(/\\(.)/gs, "$1");
    } else if (token === ".") {
      const given = next();
      if (given === undefined) return "unexpected end of JSON path";
      name = given;
    } else return `expected [ or . but got: ${token}`;

    const isNamed = node.properties.size > 0;
    const below = isNamed ? node.properties.get(name) : node.additional;
    if (below === undefined) return "does not refer to a valid field";
    node = below;
    found = isNamed ? childPath(found, name) : keyPath(found, name);
    if (token !== "[") continue;
    const close = next();
    if (close === undefined) return "unexpected end of JSON path";
    if (close !== "]") return `expected ] but got ${close}`;
  }
  return { path: found, node };
}
