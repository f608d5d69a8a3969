import type { Pod } from "@coracle/api/core/v1";
import type { ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import type { Lister } from "@coracle/client";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { devicesOf, evictionOf, isAbout, latestSlices, type DeviceView } from "./plan.ts";
import { restOf, ruleCondition, STATUS_PERIOD_MS, type RuleEffect } from "./rule-plan.ts";

const FIELD_MANAGER = "device-taint-eviction-controller";

/** What the eviction of pods says to those who tell of rules. */
export interface RuleProgress {
  /** Pods driven away, by the uid of the rule. */
  readonly evicted: Map<string, number>;
  /** Something that the rule of this name does has changed. */
  changed: (rule: string) => void;
}

interface Sources {
  readonly pods: Lister<Pod>;
  readonly claims: Lister<ResourceClaim>;
  readonly slices: Lister<ResourceSlice>;
  readonly progress: RuleProgress;
}

/** Says at each DeviceTaintRule how many pods it drives away, or would. */
export function createRuleStatusController(deps: ControllerDeps, sources: Sources): Controller {
  const { client, informers, clock } = deps;
  const { pods, claims, slices, progress } = sources;
  const rules = informers.informer(DeviceTaintRule).lister;

  /** What it does as one that drives away: whether it is one or not. */
  function effectOf(rule: DeviceTaintRule): RuleEffect {
    const driving = { ...rule, spec: { ...rule.spec, taint: { ...rule.spec.taint, effect: "NoExecute" } } };
    const namespaces = new Set<string>();
    let count = 0;
    for (const pod of pods.list()) {
      if (pod.spec.resourceClaims === undefined || pod.metadata.deletionTimestamp !== undefined) continue;
      const view: DeviceView = {
        claim: (name) => claims.get(pod.metadata.namespace, name),
        slicesOf: () => [],
        rules: [driving],
      };
      if (evictionOf(pod, view) === undefined) continue;
      count += 1;
      namespaces.add(pod.metadata.namespace ?? "");
    }
    const byPool = new Map<string, ResourceSlice[]>();
    for (const slice of slices.list()) {
      const pool = `${slice.spec.driver}/${slice.spec.pool.name}`;
      byPool.set(pool, [...(byPool.get(pool) ?? []), slice]);
    }
    const published = [...byPool.values()]
      .flatMap(latestSlices)
      .flatMap(({ spec }) =>
        (spec.devices ?? []).map(({ name }) => ({ driver: spec.driver, pool: spec.pool.name, device: name })),
      );
    return {
      pods: count,
      namespaces: namespaces.size,
      publishedDevices: published.filter((device) => isAbout(rule, device)).length,
      allocatedDevices: claims
        .list()
        .flatMap(devicesOf)
        .filter((device) => isAbout(rule, device)).length,
      evicted: progress.evicted.get(rule.metadata.uid ?? "") ?? 0,
    };
  }

  return defineController<DeviceTaintRule>(deps, {
    name: "device-taint-rule-status",
    for: DeviceTaintRule,
    // What it says itself is no reason to say more.
    changed: (rule, old) => old?.metadata.generation !== rule.metadata.generation,
    workers: 1,
    started({ enqueueAfter }) {
      progress.changed = (name) => enqueueAfter(name, STATUS_PERIOD_MS);
    },
    async reconcile(name, { signal }) {
      const rule = rules.byKey(name);
      if (rule === undefined) {
        forgetGone();
        return done;
      }
      const rest = restOf(rule, clock.now());
      if (rest !== undefined) return requeueAfter(rest);
      const condition = ruleCondition(rule, effectOf(rule), clock.now());
      if (condition === undefined) return done;
      const body = {
        apiVersion: "resource.k8s.io/v1alpha3",
        kind: "DeviceTaintRule",
        metadata: { name, uid: rule.metadata.uid },
        status: { conditions: [condition] },
      };
      const options = { subresource: "status", fieldManager: FIELD_MANAGER, force: true, signal };
      await client.patch(DeviceTaintRule, { name }, "apply", body, options);
      return done;
    },
  });

  function forgetGone(): void {
    const uids = new Set(rules.list().map(({ metadata }) => metadata.uid));
    for (const uid of progress.evicted.keys()) if (!uids.has(uid)) progress.evicted.delete(uid);
  }
}
