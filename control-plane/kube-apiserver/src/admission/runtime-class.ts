import { canonicalQuantity, equalJson } from "@coracle/apimachinery";
import type { RuntimeClass } from "@coracle/api/node/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf, type MutablePodSpec } from "./pod-draft.ts";
import { refusalOf } from "./refusal.ts";
import { mergeTolerations, type TolerationDraft } from "./tolerations.ts";

const CLASSES = { group: "node.k8s.io", version: "v1", plural: "runtimeclasses" };
const MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

type Amounts = Record<string, string>;

const canonical = (amounts: object | undefined): Amounts =>
  Object.fromEntries(
    Object.entries((amounts ?? {}) as Amounts).map(([name, text]) => [name, canonicalQuantity(text, true)]),
  );
const fixedOf = (found: RuntimeClass | undefined): Amounts | undefined =>
  found?.overhead === undefined || found.overhead === null ? undefined : canonical(found.overhead.podFixed);

/** A pod carries the overhead and the node constraints of its runtime class. */
export function runtimeClass(objects: RegistryReader): AdmissionPlugin {
  async function classOf(attributes: AdmissionAttributes, name: string): Promise<RuntimeClass> {
    const found = (await objects.get(CLASSES, "", name)) as unknown as RuntimeClass | undefined;
    if (found === undefined)
      throw refusalOf(attributes, `pod rejected: RuntimeClass ${JSON.stringify(name)} not found`);
    return found;
  }

  function applyScheduling(attributes: AdmissionAttributes, spec: MutablePodSpec, found: RuntimeClass): void {
    for (const [key, value] of Object.entries(found.scheduling?.nodeSelector ?? {})) {
      const own = spec.nodeSelector?.[key];
      if (own !== undefined && own !== value) {
        throw refusalOf(
          attributes,
          `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
        );
      }
      spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
    }
    if (found.scheduling === undefined || found.scheduling === null) return;
    const tolerations = (found.scheduling.tolerations ?? []) as unknown as readonly TolerationDraft[];
    const merged = mergeTolerations(spec.tolerations ?? [], tolerations).map((one) => ({ ...one }));
    if (merged.length > 0) spec.tolerations = merged;
  }

  async function apply(attributes: AdmissionAttributes, spec: MutablePodSpec, name: string): Promise<void> {
    const found = await classOf(attributes, name);
    const fixed = fixedOf(found);
    if (fixed !== undefined) {
      const own = canonical(spec.overhead);
      if (Object.keys(own).length > 0 && !equalJson(own, fixed)) throw refusalOf(attributes, MISMATCH);
      spec.overhead = fixed;
    }
    applyScheduling(attributes, spec, found);
  }

  function check(attributes: AdmissionAttributes, spec: MutablePodSpec, found: RuntimeClass | undefined): void {
    const fixed = fixedOf(found);
    const own = canonical(spec.overhead);
    if (fixed === undefined && Object.keys(own).length > 0) {
      throw refusalOf(attributes, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
    }
    if (fixed !== undefined && !equalJson(own, fixed)) throw refusalOf(attributes, MISMATCH);
  }

  return {
    name: "RuntimeClass",
    scope: { operations: ["CREATE"], resources: ["/pods"] },
    admit(attributes) {
      const spec = podSpecOf(attributes);
      const name = spec?.runtimeClassName ?? undefined;
      return spec === undefined || name === undefined ? undefined : apply(attributes, spec, name);
    },
    validate(attributes) {
      const spec = podSpecOf(attributes);
      if (spec === undefined) return undefined;
      const name = spec.runtimeClassName ?? undefined;
      if (name !== undefined) return classOf(attributes, name).then((found) => check(attributes, spec, found));
      check(attributes, spec, undefined);
      return undefined;
    },
  };
}
