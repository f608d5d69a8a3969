import { describe, expect, it } from "vitest";
import type { Container, Node, Pod } from "@coracle/api/core/v1";
import { createSeededRandom } from "@coracle/base";
import { createDefaultPreemption } from "../plugins/default-preemption.ts";
import { defaultPlugins } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { schedulePlainly } from "./schedule-plainly.ts";
import { schedulePod } from "./schedule-pod.ts";

const ROUNDS = 3_000;

const plugins = defaultPlugins({
  binder: () => Promise.resolve(),
  budgets: () => [],
  volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
  owners: { selectorOf: () => undefined },
} as unknown as Parameters<typeof defaultPlugins>[0]);

const preemption = createDefaultPreemption(
  () => plugins,
  () => [],
);

/** What validation lets through, and what it should not. */
const QUANTITIES = ["0", "1", "-1", "100m", "-0", "1n", "9223372036854775807", "9223372036854775808", "1e400", "-9e99"];
const MORE = ["1Ei", "9999999Ei", "0.000000001", "+5", "1.5Gi", "12E", "1e-400", ""];
const NAMES = ["cpu", "memory", "ephemeral-storage", "pods", "hugepages-2Mi", "example.com/gpu", "", "__proto__"];
const KEYS = ["zone", "kubernetes.io/hostname", "", "__proto__", "constructor", "a".repeat(300)];
const VALUES = ["", "a", "b", "-1", "99999999999999999999", "NaN"];
const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Equal", "", "Absurd"];
const EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute", "", "Absurd"];
const NUMBERS = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 53, Number.MAX_VALUE];

/** Draws absurd objects. */
class Absurdity {
  readonly #random;

  constructor(seed: number) {
    this.#random = createSeededRandom(seed);
  }

  one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random.next() * choices.length)] as T;
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: Math.floor(this.#random.next() * (most + 1)) }, make);
  }

  maybe<K extends string, T>(key: K, make: () => T): Partial<Record<K, T>> {
    return this.#random.next() < 0.4 ? ({ [key]: make() } as Record<K, T>) : {};
  }

  amounts(): Record<string, string> {
    return Object.fromEntries(this.some(4, () => [this.one(NAMES), this.one([...QUANTITIES, ...MORE])]));
  }

  labels(): Record<string, string> {
    return Object.fromEntries(this.some(4, () => [this.one(KEYS), this.one(VALUES)]));
  }

  expressions() {
    return this.some(3, () => ({
      key: this.one(KEYS),
      operator: this.one(OPERATORS),
      values: this.some(2, () => this.one(VALUES)),
    }));
  }

  selector() {
    return {
      ...this.maybe("matchLabels", () => this.labels()),
      ...this.maybe("matchExpressions", () => this.#valid()),
    };
  }

  /** Selectors of labels that are no such are refused when they are written. */
  #valid() {
    return this.some(2, () => ({ key: this.one(KEYS), operator: this.one(["Exists", "DoesNotExist"]) }));
  }

  terms() {
    return this.some(3, () => ({
      topologyKey: this.one(KEYS),
      ...this.maybe("labelSelector", () => this.selector()),
      ...this.maybe("namespaces", () => [this.one(["d", "", "e"])]),
      ...this.maybe("namespaceSelector", () => this.selector()),
      ...this.maybe("matchLabelKeys", () => [this.one(KEYS)]),
    }));
  }

  weighted() {
    return this.terms().map((podAffinityTerm) => ({ weight: this.one(NUMBERS), podAffinityTerm }));
  }

  podRules() {
    return {
      ...this.maybe("requiredDuringSchedulingIgnoredDuringExecution", () => this.terms()),
      ...this.maybe("preferredDuringSchedulingIgnoredDuringExecution", () => this.weighted()),
    };
  }

  nodeTerm() {
    return {
      ...this.maybe("matchExpressions", () => this.expressions()),
      ...this.maybe("matchFields", () => [{ key: "metadata.name", operator: this.one(OPERATORS), values: ["n1"] }]),
    };
  }

  affinity() {
    return {
      ...this.maybe("podAffinity", () => this.podRules()),
      ...this.maybe("podAntiAffinity", () => this.podRules()),
      ...this.maybe("nodeAffinity", () => ({
        ...this.maybe("requiredDuringSchedulingIgnoredDuringExecution", () => ({
          nodeSelectorTerms: this.some(2, () => this.nodeTerm()),
        })),
        ...this.maybe("preferredDuringSchedulingIgnoredDuringExecution", () =>
          this.some(2, () => ({ weight: this.one(NUMBERS), preference: this.nodeTerm() })),
        ),
      })),
    };
  }

  container(): Container {
    return {
      name: "c",
      ...this.maybe("image", () => this.one(["", "app", "a@sha256:b", "x:y:z"])),
      ...this.maybe("resources", () => ({ ...this.maybe("requests", () => this.amounts()) })),
      ...this.maybe("restartPolicy", () => this.one(["Always", "Absurd"])),
      ...this.maybe("ports", () =>
        this.some(2, () => ({ containerPort: 1, hostPort: this.one(NUMBERS), hostIP: this.one(["", "0.0.0.0", "x"]) })),
      ),
    };
  }

  pod(name: string): Pod {
    return {
      metadata: { name, namespace: "d", uid: name, ...this.maybe("labels", () => this.labels()) },
      spec: {
        containers: this.some(3, () => this.container()),
        ...this.maybe("initContainers", () => this.some(2, () => this.container())),
        ...this.maybe("overhead", () => this.amounts()),
        ...this.maybe("resources", () => ({ requests: this.amounts() })),
        ...this.maybe("priority", () => this.one(NUMBERS)),
        ...this.maybe("nodeSelector", () => this.labels()),
        ...this.maybe("affinity", () => this.affinity()),
        ...this.maybe("tolerations", () =>
          this.some(2, () => ({ key: this.one(KEYS), operator: this.one(OPERATORS), effect: this.one(EFFECTS) })),
        ),
        ...this.maybe("topologySpreadConstraints", () =>
          this.some(2, () => ({
            topologyKey: this.one(KEYS),
            maxSkew: this.one(NUMBERS),
            whenUnsatisfiable: this.one(["DoNotSchedule", "ScheduleAnyway", "Absurd"]),
            ...this.maybe("minDomains", () => this.one(NUMBERS)),
            ...this.maybe("labelSelector", () => this.selector()),
          })),
        ),
      },
    };
  }

  node(name: string): Node {
    return {
      metadata: { name, ...this.maybe("labels", () => this.labels()) },
      spec: {
        ...this.maybe("taints", () =>
          this.some(2, () => ({ key: this.one(KEYS), value: this.one(VALUES), effect: this.one(EFFECTS) })),
        ),
        ...this.maybe("unschedulable", () => this.one([true, false])),
      },
      ...this.maybe("status", () => ({
        ...this.maybe("allocatable", () => ({ pods: this.one(["110", "-1", "0"]), ...this.amounts() })),
        ...this.maybe("images", () => this.some(2, () => ({ names: ["app"], sizeBytes: this.one(NUMBERS) }))),
      })),
    };
  }
}

describe("absurd pods and nodes", () => {
  it(
    "are decided about, by columns and plainly alike whether they fit at all; nothing throws",
    { timeout: 120_000 },
    () => {
      const absurd = new Absurdity(7);
      const state = new ClusterState();
      const random = createSeededRandom(1);
      const placed: Pod[] = [];
      let fits = 0;
      for (let i = 0; i < ROUNDS; i++) {
        if (i % 5 === 0) state.setNode(absurd.node(`n${absurd.one([0, 1, 2, 3, 4, 5])}`));
        if (i % 97 === 0) state.removeNode(`n${absurd.one([0, 1, 2, 3, 4, 5])}`);
        const pod = absurd.pod(`p${i}`);
        const deps = { plugins, random, startAt: i };
        const decision = schedulePod(pod, state, deps);
        expect(schedulePlainly(pod, state, deps).type, JSON.stringify(pod)).toBe(decision.type);
        if (decision.type === "unfit") preemption.postFilter?.(pod, decision.unfit, state, decision.state);
        else {
          fits++;
          state.assume(pod, decision.nodeName);
          placed.push(pod);
        }
        const gone = placed.length > 12 ? placed.shift() : undefined;
        if (gone !== undefined) state.forget(gone);
      }
      expect(fits).toBeGreaterThan(ROUNDS / 100);
    },
  );
});
