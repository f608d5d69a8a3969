import type { Container, Pod, PodSpec } from "@coracle/api/core/v1";
import { equalJson, forbiddenField, invalidValue, type Draft, type FieldError, type Json } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { qosClass } from "../validation/pod-qos.ts";
import { validatePodSpec } from "../validation/pod-spec.ts";

const LISTS = ["containers", "initContainers"] as const;
const KEPT_META = ["labels", "annotations", "finalizers", "ownerReferences"];

const listOf = (spec: unknown, list: string): Draft[] =>
  ((spec as Draft | undefined)?.[list] as Draft[] | undefined) ?? [];
const sameNames = (a: readonly Draft[], b: readonly Draft[]): boolean =>
  a.length === b.length && a.every((container, i) => container["name"] === b[i]?.["name"]);

/** Of what is sent only the containers' resources and their resize policies count. */
export function prepareResize(draft: ApiDraft, old: ApiObject): void {
  // Containers that come, go or change places are told, not dropped.
  if (LISTS.some((list) => listOf(draft["spec"], list).length !== listOf(old["spec"], list).length)) return;
  const spec = structuredClone(old["spec"]) as Draft;
  for (const list of LISTS) {
    const wanted = listOf(draft["spec"], list);
    const kept = listOf(spec, list);
    if (!sameNames(wanted, kept)) {
      if (wanted.length > 0) spec[list] = wanted;
      continue;
    }
    for (const [i, container] of kept.entries()) {
      for (const field of ["resources", "resizePolicy"]) {
        const value = wanted[i]![field];
        if (value === undefined) delete container[field];
        else container[field] = value;
      }
    }
  }
  draft["spec"] = spec;
  if (old["status"] !== undefined) draft["status"] = old["status"];
  for (const field of KEPT_META) {
    const value = old.metadata[field];
    if (value === undefined) delete draft.metadata[field];
    else draft.metadata[field] = value;
  }
}

type Amounts = Readonly<Record<string, string>>;

/** What is left of a container when its processor and memory are as they were. */
function withoutResizable(container: Decoded<Container>, old: Decoded<Container>): Json {
  const part = (side: "requests" | "limits"): Amounts => {
    const now = { ...(container.resources?.[side] as Amounts | undefined) };
    const before = (old.resources?.[side] ?? {}) as Amounts;
    for (const name of ["cpu", "memory"]) {
      if (before[name] === undefined) delete now[name];
      else now[name] = before[name];
    }
    return now;
  };
  return even({
    ...container,
    resources: { ...container.resources, requests: part("requests"), limits: part("limits") },
  });
}

/** The same container with what is empty left out. */
function even(container: object): Json {
  const { resources, ...rest } = container as { readonly resources?: Readonly<Record<string, unknown>> };
  const kept = Object.entries(resources ?? {}).filter(
    ([, value]) => value !== undefined && Object.keys(value as object).length > 0,
  );
  return { ...rest, resources: Object.fromEntries(kept) } as unknown as Json;
}

function orderErrors(spec: Decoded<PodSpec>, old: Decoded<PodSpec>): FieldError[] {
  return LISTS.flatMap((list) => {
    const [now, before] = [listOf(spec, list), listOf(old, list)];
    if (now.length !== before.length) {
      return [forbiddenField(`spec.${list}`, `${list} may not be added or removed on resize`)];
    }
    return before.flatMap(({ name }, i) =>
      now[i]?.["name"] === name
        ? []
        : [forbiddenField(`spec.${list}[${i}].name`, `${list} may not be renamed or reordered on resize`)],
    );
  });
}

function removalErrors(path: string, container: Decoded<Container>, old: Decoded<Container>): FieldError[] {
  return (["requests", "limits"] as const).flatMap((side) => {
    const now = container.resources?.[side] ?? {};
    const isLess = Object.keys(old.resources?.[side] ?? {}).some((name) => !(name in now));
    return isLess ? [forbiddenField(`${path}.resources.${side}`, `resource ${side} cannot be removed`)] : [];
  });
}

const isSidecar = ({ restartPolicy }: Decoded<Container>): boolean => restartPolicy === "Always";
const hasPodLevel = ({ resources }: Decoded<PodSpec>): boolean =>
  Object.keys(resources?.requests ?? {}).length + Object.keys(resources?.limits ?? {}).length > 0;

/** Whether the node that runs the pod can resize it, as far as it says. */
function isSupported({ status }: Decoded<Pod>): boolean {
  const running = (status?.containerStatuses ?? []).find(({ state }) => (state?.running ?? undefined) !== undefined);
  return running === undefined || (running.resources ?? undefined) !== undefined;
}

/** The rules of `pods/resize`: processor and memory of containers and sidecars, within the pod's class of service. */
export function validateResize(object: ApiObject, before: ApiObject): FieldError[] {
  const pod = as<Pod>(object);
  const old = as<Pod>(before);
  const spec = pod.spec ?? {};
  const was = old.spec ?? {};
  const errors: FieldError[] = [];
  validatePodSpec(errors, "spec", spec, text(pod.metadata?.name));
  if (old.metadata?.annotations?.["kubernetes.io/config.mirror"] !== undefined) {
    return [forbiddenField("[]", "static pods cannot be resized")];
  }
  if (was.os?.name === "windows") return [forbiddenField("[]", "windows pods cannot be resized")];
  const quality = text(old.status?.qosClass) === "" ? qosClass(was) : text(old.status?.qosClass);
  if (quality !== qosClass(spec)) {
    errors.push(
      invalidValue("spec", text(pod.status?.qosClass), "Pod QOS Class may not change as a result of resizing"),
    );
  }
  if (!isSupported(old)) errors.push(forbiddenField("spec", "Pod running on node without support for resize"));
  if (hasPodLevel(was) || hasPodLevel(spec)) {
    errors.push(
      forbiddenField(
        "[]",
        "resize of pods with pod-level resources is forbidden when InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled",
      ),
    );
    return errors;
  }
  const order = orderErrors(spec, was);
  if (order.length > 0) return [...errors, ...order];
  for (const [i, one] of (was.initContainers ?? []).entries()) {
    if (isSidecar(one)) errors.push(...removalErrors(`spec.initContainers[${i}]`, spec.initContainers![i]!, one));
  }
  for (const [i, one] of (was.containers ?? []).entries()) {
    errors.push(...removalErrors(`spec.containers[${i}]`, spec.containers![i]!, one));
  }
  for (const [i, one] of (was.containers ?? []).entries()) {
    if (equalJson(withoutResizable(spec.containers![i]!, one), even(one))) continue;
    errors.push(forbiddenField("spec", "only cpu and memory resources are mutable"));
  }
  for (const [i, one] of (was.initContainers ?? []).entries()) {
    const now = spec.initContainers![i]!;
    if (!isSidecar(now)) {
      if (!equalJson(even(now), even(one))) {
        errors.push(forbiddenField("spec", "resources for non-sidecar init containers are immutable"));
      }
    } else if (!equalJson(withoutResizable(now, one), even(one))) {
      errors.push(forbiddenField("spec", "only cpu and memory resources for sidecar containers are mutable"));
    }
  }
  return errors;
}
