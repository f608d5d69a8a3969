import { ClusterRole, type PolicyRule } from "@coracle/api/rbac/v1";
import { equalJson } from "@coracle/apimachinery";
import {
  defineController,
  done,
  labelMatcher,
  mapped,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";

/** Fills cluster roles that have an aggregation rule with the rules of the roles that they select. */
export function createClusterRoleAggregationController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const roles = informers.informer(ClusterRole).lister;
  const aggregated = (): readonly string[] =>
    roles
      .list()
      .filter((role) => role.aggregationRule !== undefined)
      .map((role) => role.metadata.name ?? "");

  return defineController<ClusterRole>(deps, {
    name: "clusterrole-aggregation",
    for: ClusterRole,
    changed: (role) => role.aggregationRule !== undefined,
    watches: [mapped(ClusterRole, aggregated)],
    async reconcile(name, { signal }) {
      const role = roles.byKey(name);
      if (role?.aggregationRule === undefined) return done;
      const rules = aggregateRules(role, roles.list());
      if (equalJson(rules, role.rules ?? [])) return done;
      await client.update(ClusterRole, { ...role, rules }, { signal });
      return done;
    },
  });
}

/** The rules of all roles that one of the selectors matches, in order of their names, each once. */
export function aggregateRules(role: ClusterRole, all: readonly ClusterRole[]): readonly PolicyRule[] {
  const rules: PolicyRule[] = [];
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const sources = all
      .filter((each) => each.metadata.name !== role.metadata.name && labelMatcher(selector)(each.metadata.labels))
      .toSorted((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
    for (const source of sources)
      for (const rule of source.rules ?? []) if (!rules.some((known) => equalJson(known, rule))) rules.push(rule);
  }
  return rules;
}
