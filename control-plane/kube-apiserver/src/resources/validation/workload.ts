import type { PodTemplateSpec } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import {
  equalJson,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../../registry/resource-definition.ts";
import type { Decoded } from "./decoded.ts";
import { text } from "./decoded.ts";
import { isEmptySelector, isUsableSelector, selectorMatches, validateLabelSelector } from "./label-selector.ts";
import { validateAnnotations, validateLabels } from "./object-meta.ts";
import { validatePodTemplateSpec } from "./pod-spec.ts";

/** A workload's selector: given, valid, not empty. Answers whether it can be used to match. */
export function validateWorkloadSelector(
  errors: FieldError[],
  path: string,
  selector: Decoded<LabelSelector> | undefined,
  emptyDetail: string,
  invalidDetail = "invalid label selector",
): boolean {
  if (selector === undefined) {
    errors.push(required(path));
    return true;
  }
  const before = errors.length;
  validateLabelSelector(errors, path, selector);
  if (isEmptySelector(selector)) errors.push(invalidValue(path, selector, emptyDetail));
  if (errors.length > before && !isEmptySelector(selector)) {
    errors.push(invalidValue(path, selector, invalidDetail));
    return false;
  }
  return true;
}

/** The template of a workload that keeps pods running: labels match the selector, pods restart always. */
export function validateWorkloadTemplate(
  errors: FieldError[],
  path: string,
  template: Decoded<PodTemplateSpec> | undefined,
  selector: Decoded<LabelSelector> | undefined,
  kind = "ReplicaSet",
): void {
  if (
    (selector === undefined || !isEmptySelector(selector)) &&
    isUsableSelector(selector) &&
    !selectorMatches(selector, template?.metadata?.labels)
  )
    errors.push(
      invalidValue(
        `${path}.metadata.labels`,
        template?.metadata?.labels,
        "`selector` does not match template `labels`",
      ),
    );
  validatePodTemplateSpec(errors, path, template);
  if (kind === "StatefulSet") {
    // Looked at a second time.
    validateLabels(errors, `${path}.labels`, template?.metadata?.labels);
    validateAnnotations(errors, `${path}.annotations`, template?.metadata?.annotations);
  }
  validateRestart(errors, path, template, kind);
}

/** Pods of a workload that keeps them running restart always, and have no deadline. */
export function validateRestart(
  errors: FieldError[],
  path: string,
  template: Decoded<PodTemplateSpec> | undefined,
  kind: string,
): void {
  const restart = text(template?.spec?.restartPolicy);
  if (restart !== "Always" && restart !== "")
    errors.push(notSupported(`${path}.spec.restartPolicy`, restart, ["Always"]));
  if (template?.spec?.activeDeadlineSeconds !== undefined)
    errors.push(
      forbiddenField(`${path}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${kind} is not Supported`),
    );
}

/** Spec changes raise the generation; the registry does that. This keeps the list of names a kind's updates may set. */
export function changedOutside(object: ApiObject, old: ApiObject, allowed: readonly string[]): boolean {
  const now = object["spec"] as Draft | undefined;
  const before = old["spec"] as Draft | undefined;
  for (const field of new Set([...Object.keys(now ?? {}), ...Object.keys(before ?? {})])) {
    if (!allowed.includes(field) && !equalJson(now?.[field], before?.[field])) return true;
  }
  return false;
}

/** A status that holds a count at least, as controllers expect. */
export function freshStatus(status: Draft): (draft: ApiDraft) => void {
  return (draft) => {
    draft["status"] = { ...status };
  };
}
