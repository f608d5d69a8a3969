import { notFound, statusError } from "@coracle/apimachinery";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";
import { refusalOf } from "./refusal.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };
const ANNOTATION = "scheduler.alpha.kubernetes.io/node-selector";
const CLUSTER_DEFAULT = "clusterDefaultNodeSelector";

type Labels = Readonly<Record<string, string>>;

/** Selectors (`a=b,c=d`): the cluster's default under `clusterDefaultNodeSelector`, and what each namespace may use. */
export type PodNodeSelectorConfiguration = Labels;

/** Reads `a=b,c=d`. */
function readSelector(text: string | undefined): Labels {
  const out: Record<string, string> = {};
  for (const term of (text ?? "").split(",")) {
    if (term === "") continue;
    const parts = term.split("=");
    if (parts.length !== 2) throw statusError("", `invalid selector: [${parts.join(" ")}]`);
    out[parts[0]!.trim()] = parts[1]!.trim();
  }
  return out;
}

const conflict = (a: Labels, b: Labels): boolean =>
  Object.entries(a).some(([key, value]) => b[key] !== undefined && b[key] !== value);

/** Pods run on the nodes that their namespace selects. */
export function podNodeSelector(
  objects: RegistryReader,
  configuration: PodNodeSelectorConfiguration = {},
): AdmissionPlugin {
  async function selectorOf(namespace: string): Promise<Labels> {
    const found = await objects.get(NAMESPACES, "", namespace);
    if (found === undefined) throw notFound({ group: "", resource: "namespaces" }, namespace);
    const text = ((found.metadata["annotations"] ?? {}) as Labels)[ANNOTATION];
    return readSelector(text ?? configuration[CLUSTER_DEFAULT]);
  }

  async function validate(attributes: AdmissionAttributes): Promise<void> {
    const own = podSpecOf(attributes)?.nodeSelector ?? {};
    if (conflict(await selectorOf(attributes.namespace), own)) {
      throw refusalOf(attributes, "pod node label selector conflicts with its namespace node label selector");
    }
    const allowed = readSelector(configuration[attributes.namespace]);
    if (Object.keys(allowed).length === 0) return;
    if (Object.entries(own).some(([key, value]) => allowed[key] !== value)) {
      throw refusalOf(attributes, "pod node label selector labels conflict with its namespace whitelist");
    }
  }

  return {
    name: "PodNodeSelector",
    scope: { operations: ["CREATE"], resources: ["/pods"] },
    async admit(attributes) {
      const spec = podSpecOf(attributes);
      if (spec === undefined) return;
      const selector = await selectorOf(attributes.namespace);
      if (conflict(selector, spec.nodeSelector ?? {})) {
        throw refusalOf(attributes, "pod node label selector conflicts with its namespace node label selector");
      }
      if (Object.keys(selector).length > 0) spec.nodeSelector = { ...selector, ...spec.nodeSelector };
      await validate(attributes);
    },
    validate,
  };
}
