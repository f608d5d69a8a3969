import { forbidden } from "@coracle/apimachinery";
import type { PriorityClass } from "@coracle/api/scheduling/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

const CLASSES = { group: "scheduling.k8s.io", version: "v1", plural: "priorityclasses" };
const LOWER = "PreemptLowerPriority";

/** A pod that is updated by its first manifest keeps what was computed for it. */
function keepPriority(attributes: AdmissionAttributes): void {
  const spec = podSpecOf(attributes);
  const old = attributes.oldObject?.["spec"] as { priority?: number; preemptionPolicy?: string } | undefined;
  if (spec === undefined || old === undefined) return;
  if (old.priority !== undefined) spec.priority ??= old.priority;
  if (old.preemptionPolicy !== undefined) spec.preemptionPolicy ??= old.preemptionPolicy;
}

/** Turns a pod's class into its number; allows one class to be the default. */
export function priority(objects: RegistryReader): AdmissionPlugin {
  const all = async (): Promise<readonly PriorityClass[]> =>
    (await objects.list(CLASSES)) as unknown as readonly PriorityClass[];

  async function admitPod(attributes: AdmissionAttributes): Promise<void> {
    const spec = podSpecOf(attributes);
    if (spec === undefined) return;
    let found: PriorityClass | undefined;
    if (spec.priorityClassName) {
      found = (await objects.get(CLASSES, "", spec.priorityClassName)) as unknown as PriorityClass | undefined;
      if (found === undefined) {
        throw forbidden(
          { group: "", resource: "pods" },
          attributes.name,
          `no PriorityClass with name ${spec.priorityClassName} was found`,
        );
      }
    } else {
      // Of several defaults the lowest counts.
      found = (await all()).filter((one) => one.globalDefault === true).toSorted((a, b) => a.value - b.value)[0];
      if (found !== undefined) spec.priorityClassName = found.metadata.name ?? "";
    }
    const value = found?.value ?? 0;
    const policy = found?.preemptionPolicy ?? LOWER;
    if (spec.priority !== undefined && spec.priority !== null && spec.priority !== value) {
      throw forbidden(
        { group: "", resource: "pods" },
        attributes.name,
        `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
      );
    }
    if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== null && spec.preemptionPolicy !== policy) {
      throw forbidden(
        { group: "", resource: "pods" },
        attributes.name,
        `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
      );
    }
    spec.priority = value;
    spec.preemptionPolicy = policy;
  }

  return {
    name: "Priority",
    scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods", "scheduling.k8s.io/priorityclasses"] },
    async admit(attributes) {
      if (attributes.resource !== "pods") return;
      if (attributes.operation === "CREATE") await admitPod(attributes);
      else keepPriority(attributes);
    },
    async validate(attributes) {
      if (attributes.resource !== "priorityclasses" || attributes.object?.["globalDefault"] !== true) return;
      const other = (await all()).find((one) => one.globalDefault === true);
      if (other === undefined || other.metadata.name === attributes.name) return;
      throw forbidden(
        { group: "scheduling.k8s.io", resource: "priorityclasses" },
        attributes.name,
        `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
      );
    },
  };
}
