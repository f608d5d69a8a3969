import { internalError, notFound, statusError } from "@coracle/apimachinery";
import { qosClass } from "../resources/validation/pod-qos.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";
import { areAllowed, mergeTolerations, type TolerationDraft } from "./tolerations.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };
const DEFAULTS = "scheduler.alpha.kubernetes.io/defaultTolerations";
const ALLOWED = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";

/** What the plugin can be told: for namespaces that do not say themselves. */
export interface PodTolerationRestrictionConfiguration {
  readonly default?: readonly TolerationDraft[];
  readonly whitelist?: readonly TolerationDraft[];
}

/** Pods get their namespace's tolerations, and no others than it allows. */
export function podTolerationRestriction(
  objects: RegistryReader,
  configuration: PodTolerationRestrictionConfiguration = {},
): AdmissionPlugin {
  /** Undefined: the namespace does not say. */
  async function annotated(namespace: string, key: string): Promise<readonly TolerationDraft[] | undefined> {
    const found = await objects.get(NAMESPACES, "", namespace);
    if (found === undefined) throw notFound({ group: "", resource: "namespaces" }, namespace);
    const text = ((found.metadata["annotations"] ?? {}) as Readonly<Record<string, string>>)[key];
    if (text === undefined) return undefined;
    if (text === "") return [];
    try {
      return JSON.parse(text) as readonly TolerationDraft[];
    } catch (error) {
      throw internalError(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  async function validate(attributes: AdmissionAttributes): Promise<void> {
    const tolerations = podSpecOf(attributes)?.tolerations ?? [];
    if (tolerations.length === 0) return;
    const own = await annotated(attributes.namespace, ALLOWED);
    if (areAllowed(tolerations, own ?? configuration.whitelist ?? [])) return;
    const whose = own === undefined ? "cluster" : "namespace";
    throw statusError(
      "",
      `pod tolerations (possibly merged with namespace default tolerations) conflict with its ${whose} whitelist`,
    );
  }

  return {
    name: "PodTolerationRestriction",
    scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods"] },
    async admit(attributes) {
      const spec = podSpecOf(attributes);
      if (spec === undefined) return;
      const extra: TolerationDraft[] = [];
      if (attributes.operation === "CREATE") {
        extra.push(...((await annotated(attributes.namespace, DEFAULTS)) ?? configuration.default ?? []));
      }
      if (qosClass(spec as unknown as Parameters<typeof qosClass>[0]) !== "BestEffort") {
        extra.push({ key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" });
      }
      if (extra.length > 0) spec.tolerations = mergeTolerations(spec.tolerations ?? [], extra);
      await validate(attributes);
    },
    validate,
  };
}
