import type { Pod, PodSpec, Toleration } from "@coracle/api/core/v1";
import { equalJson, forbiddenField, invalidValue, required, type Draft, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition, StrategyContext } from "../../registry/resource-definition.ts";
import { prepareResize, validateResize } from "./pod-resize.ts";
import { preparePodStatus, validatePodStatus } from "./pod-status.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { defaultPodSpec, defaultRequests, objectIn, setDefault } from "../validation/pod-defaults.ts";
import { appArmorWarning } from "../warnings/pod-warnings.ts";
import { applyAppArmorAnnotations } from "../validation/app-armor-annotations.ts";
import { mergeLabelKeys } from "./pod-label-keys.ts";
import { defaultPodLevelResources } from "../validation/pod-level-resources.ts";
import { validatePodSpec } from "../validation/pod-spec.ts";
import { qosClass } from "../validation/pod-qos.ts";
import { validateTokenVolumes } from "../validation/volumes.ts";
import { keepMetadata, keepStatus } from "../validation/status.ts";

const MAX_GRACE = 2_147_483_647;

function sameToleration(a: Decoded<Toleration>, b: Decoded<Toleration>): boolean {
  return (
    text(a.key) === text(b.key) &&
    text(a.operator) === text(b.operator) &&
    text(a.value) === text(b.value) &&
    text(a.effect) === text(b.effect)
  );
}

const gated = (spec: Decoded<PodSpec> | undefined): boolean => (spec?.schedulingGates?.length ?? 0) > 0;

/** The part of a spec that no update may change, with what it may change taken from `old`. */
function frozenPart(spec: Decoded<PodSpec>, old: Decoded<PodSpec>): Record<string, unknown> {
  const out: Record<string, unknown> = { ...spec };
  for (const list of ["containers", "initContainers"] as const) {
    out[list] = spec[list]?.map((container, i) => ({ ...container, image: old[list]?.[i]?.image }));
  }
  out["activeDeadlineSeconds"] = old.activeDeadlineSeconds;
  out["tolerations"] = old.tolerations;
  out["schedulingGates"] = old.schedulingGates;
  if (spec.terminationGracePeriodSeconds === 1 && (old.terminationGracePeriodSeconds ?? 0) < 0)
    out["terminationGracePeriodSeconds"] = old.terminationGracePeriodSeconds;
  if (gated(old)) {
    const selector = old.nodeSelector ?? {};
    if (Object.keys(selector).every((key) => spec.nodeSelector?.[key] === selector[key]))
      out["nodeSelector"] = old.nodeSelector;
    if (old.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution === undefined)
      out["affinity"] = old.affinity;
  }
  return out;
}

/** False where nothing else is to be looked at. */
function validateDeadlineUpdate(errors: FieldError[], spec: Decoded<PodSpec>, old: Decoded<PodSpec>): boolean {
  const path = "spec.activeDeadlineSeconds";
  const before = old.activeDeadlineSeconds;
  const now = spec.activeDeadlineSeconds;
  if (now !== undefined) {
    if (now < 0 || now > MAX_GRACE)
      errors.push(invalidValue(path, now, `must be between 0 and ${MAX_GRACE}, inclusive`));
    else if (before !== undefined && before < now)
      errors.push(invalidValue(path, now, "must be less than or equal to previous value"));
    else return true;
    return false;
  }
  if (before !== undefined)
    errors.push(invalidValue(path, now, "must not update from a positive integer to nil value"));
  return true;
}

function validateUpdate(object: ApiObject, before: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<Pod>(object).spec ?? {};
  const old = as<Pod>(before).spec ?? {};
  for (const list of ["containers", "initContainers"] as const) {
    if ((spec[list]?.length ?? 0) !== (old[list]?.length ?? 0)) {
      errors.push(forbiddenField(`spec.${list}`, "pod updates may not add or remove containers"));
      return errors;
    }
  }
  for (const list of ["containers", "initContainers"] as const) {
    spec[list]?.forEach((container, i) => {
      const image = text(container.image);
      const path = `spec.${list}[${i}].image`;
      if (image === "") errors.push(required(path));
      if (image.trim() !== image)
        errors.push(invalidValue(path, image, "must not have leading or trailing whitespace"));
    });
  }
  if (!validateDeadlineUpdate(errors, spec, old)) return errors;
  if ((old.tolerations ?? []).some((t) => !(spec.tolerations ?? []).some((other) => sameToleration(t, other))))
    errors.push(
      forbiddenField("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"),
    );
  if (spec !== old && !equalJson(frozenPart(spec, old), old))
    errors.push(
      forbiddenField(
        "spec",
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
      ),
    );
  return errors;
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const pod = as<Pod>(object);
  validatePodSpec(errors, "spec", pod.spec ?? {}, text(pod.metadata?.name));
  // Templates may name the token's account later, pods no more.
  validateTokenVolumes(errors, "spec.volumes", pod.spec ?? {});
  return errors;
}

/** A new pod has neither debugging containers nor, while it waits at a gate, a node. */
function validateNew(object: ApiObject): FieldError[] {
  const spec = as<Pod>(object).spec ?? {};
  const errors: FieldError[] = [];
  if ((spec.ephemeralContainers?.length ?? 0) > 0)
    errors.push(forbiddenField("spec.ephemeralContainers", "cannot be set on create"));
  if (text(spec.nodeName) !== "" && gated(spec))
    errors.push(forbiddenField("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
  return errors;
}

function ephemeralUpdate(object: ApiObject, before: ApiObject): FieldError[] {
  if (as<Pod>(before).metadata?.annotations?.["kubernetes.io/config.mirror"] !== undefined)
    return [forbiddenField("[]", "static pods do not support ephemeral containers")];
  const errors = validate(object);
  const now = as<Pod>(object).spec?.ephemeralContainers ?? [];
  for (const container of as<Pod>(before).spec?.ephemeralContainers ?? []) {
    const match = now.find((c) => c.name === container.name);
    if (match === undefined)
      errors.push(
        forbiddenField(
          "spec.ephemeralContainers",
          `existing ephemeral containers ${JSON.stringify(container.name)} may not be removed\n`,
        ),
      );
    else if (!equalJson(match, container))
      errors.push(
        forbiddenField(
          "spec.ephemeralContainers",
          `existing ephemeral containers ${JSON.stringify(container.name)} may not be changed\n`,
        ),
      );
  }
  return errors;
}

function prepareForCreate(draft: ApiDraft, { warnings }: StrategyContext): void {
  const told = applyAppArmorAnnotations(draft.metadata, (draft["spec"] ?? {}) as Draft);
  for (const key of told) warnings?.push(appArmorWarning("metadata.annotations", key));
  draft["status"] = { phase: "Pending", qosClass: qosClass(as<PodSpec>(draft["spec"] ?? {})) };
  if (gated(as<PodSpec>(draft["spec"] ?? {}))) {
    (draft["status"] as Draft)["conditions"] = [
      {
        type: "PodScheduled",
        status: "False",
        reason: "SchedulingGated",
        message: "Scheduling is blocked due to non-empty scheduling gates",
        lastProbeTime: null,
        lastTransitionTime: null,
      },
    ];
  }
  mergeLabelKeys(draft);
}

/** Only the named part of the spec may change through a subresource. */
function keepSpecExcept(draft: ApiDraft, old: ApiObject, apply: (from: Draft, to: Draft) => void): void {
  const wanted = objectIn(draft, "spec") ?? {};
  const kept = structuredClone(old["spec"]) as Draft;
  apply(wanted, kept);
  draft["spec"] = kept;
  draft["status"] = old["status"];
}

export const pod: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "pods",
  kind: "Pod",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "enableServiceLinks", true);
    defaultPodSpec(spec);
    defaultRequests(spec);
    defaultPodLevelResources(spec);
    // Of templates it stays as it is.
    if ((spec["terminationGracePeriodSeconds"] as number) < 0) spec["terminationGracePeriodSeconds"] = 1;
  },
  prepareForCreate,
  validate,
  validateNew,
  update: { prepare: keepStatus, validate: validateUpdate },
  subresources: {
    status: { prepare: preparePodStatus, validate: validatePodStatus },
    ephemeralcontainers: {
      prepare(draft, old) {
        keepSpecExcept(draft, old, (from, to) => {
          if (from["ephemeralContainers"] === undefined) delete to["ephemeralContainers"];
          else to["ephemeralContainers"] = from["ephemeralContainers"];
        });
        keepMetadata(draft, old, ["labels", "annotations", "finalizers", "ownerReferences"]);
      },
      validate: ephemeralUpdate,
    },
    resize: { prepare: prepareResize, validate: validateResize },
  },
  gracePeriodSeconds(object, asked) {
    const { spec, status } = as<Pod>(object);
    let seconds = asked ?? spec?.terminationGracePeriodSeconds ?? 30;
    if (text(spec?.nodeName) === "" || status?.phase === "Failed" || status?.phase === "Succeeded") seconds = 0;
    return seconds < 0 ? 1 : seconds;
  },
  selectableFields: {
    "spec.nodeName": (o) => text(as<Pod>(o).spec?.nodeName),
    "spec.restartPolicy": (o) => text(as<Pod>(o).spec?.restartPolicy),
    "spec.schedulerName": (o) => text(as<Pod>(o).spec?.schedulerName),
    "spec.serviceAccountName": (o) => text(as<Pod>(o).spec?.serviceAccountName),
    "spec.hostNetwork": (o) => String(as<Pod>(o).spec?.hostNetwork ?? false),
    "status.phase": (o) => text(as<Pod>(o).status?.phase),
    "status.podIP": (o) => text(as<Pod>(o).status?.podIP),
    "status.nominatedNodeName": (o) => text(as<Pod>(o).status?.nominatedNodeName),
  },
};
