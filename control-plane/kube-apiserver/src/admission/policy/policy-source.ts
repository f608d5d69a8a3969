import { followResource, type Mirror } from "../../registry/registry-mirror.ts";
import type { Registry } from "../../registry/registry.ts";
import type { ApiObject } from "../../registry/resource-definition.ts";

/** A policy with the bindings that put it to use. */
export interface Hook<Policy, Binding> {
  readonly name: string;
  readonly policy: Policy;
  readonly bindings: readonly Binding[];
}

/** All policies in use, in the order of their names. */
export interface PolicySource<Policy, Binding> extends Disposable {
  /** The same array until a policy or a binding changes. */
  readonly hooks: readonly Hook<Policy, Binding>[];
}

/** How policies and bindings of a kind are read; each once for each change of it. */
export interface PolicyReaders<Policy, Binding> {
  readonly version: string;
  readonly policies: string;
  readonly bindings: string;
  readonly readPolicy: (object: ApiObject) => Policy;
  readonly readBinding: (object: ApiObject) => Binding;
}

interface Bound<Binding> {
  readonly policyName: string;
  readonly binding: Binding;
}

function follow<Value>(
  registry: Registry,
  version: string,
  plural: string,
  read: (object: ApiObject) => Value,
  changed: () => void,
): { readonly byName: ReadonlyMap<string, Value>; readonly mirror: Mirror } {
  const byName = new Map<string, Value>();
  const nameOf = (object: ApiObject): string => object.metadata["name"] as string;
  const mirror = followResource(
    registry,
    { group: "admissionregistration.k8s.io", version, plural },
    {
      upsert(object) {
        byName.set(nameOf(object), read(object));
        changed();
      },
      removed(object) {
        byName.delete(nameOf(object));
        changed();
      },
      reset() {
        byName.clear();
        changed();
      },
    },
  );
  return { byName, mirror };
}

/** Follows policies and their bindings. */
export function followPolicies<Policy, Binding>(
  registry: Registry,
  readers: PolicyReaders<Policy, Binding>,
): PolicySource<Policy, Binding> {
  let hooks: readonly Hook<Policy, Binding>[] | undefined;
  const changed = (): void => {
    hooks = undefined;
  };
  const { version } = readers;
  const policies = follow(registry, version, readers.policies, readers.readPolicy, changed);
  const bound = follow<Bound<Binding>>(
    registry,
    version,
    readers.bindings,
    (object) => ({
      policyName: ((object["spec"] ?? {}) as { readonly policyName?: string }).policyName ?? "",
      binding: readers.readBinding(object),
    }),
    changed,
  );
  const inUse = (): Hook<Policy, Binding>[] => {
    const sorted = <Value>(map: ReadonlyMap<string, Value>): (readonly [string, Value])[] =>
      [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    const bindings = sorted(bound.byName).map(([, one]) => one);
    return sorted(policies.byName).flatMap(([name, policy]) => {
      const own = bindings.filter(({ policyName }) => policyName === name).map(({ binding }) => binding);
      return own.length === 0 ? [] : [{ name, policy, bindings: own }];
    });
  };
  return {
    get hooks() {
      return (hooks ??= inUse());
    },
    [Symbol.dispose]() {
      policies.mirror[Symbol.dispose]();
      bound.mirror[Symbol.dispose]();
    },
  };
}
