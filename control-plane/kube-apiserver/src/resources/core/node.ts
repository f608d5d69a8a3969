import type { Node } from "@coracle/api/core/v1";
import {
  duplicate,
  equalJson,
  forbiddenField,
  invalidValue,
  parseLegacyCidr,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { labelValue, qualifiedName } from "../validation/names.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";
import { validateTaintEffect } from "../validation/pod-scheduling.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";

/** Taints, whose errors speak of metadata for as long as anyone can remember. */
function validateTaints(errors: FieldError[], object: ApiObject): void {
  const seen = new Set<string>();
  as<Node>(object).spec?.taints?.forEach((taint, i) => {
    const path = `metadata.taints[${i}]`;
    const key = text(taint.key);
    pushInvalid(errors, `${path}.key`, key, qualifiedName(key));
    const messages = labelValue(text(taint.value));
    if (messages.length > 0) errors.push(invalidValue(`${path}.value`, taint.value, messages.join(";")));
    validateTaintEffect(errors, `${path}.effect`, taint.effect);
    const pair = `${key}:${text(taint.effect)}`;
    if (seen.has(pair)) {
      // In Go's form.
      const { value, timeAdded } = taint;
      const told = { Key: key, Value: text(value), Effect: text(taint.effect), TimeAdded: timeAdded ?? null };
      const error = duplicate(path, told);
      errors.push({ ...error, message: `${error.message}: taints must be unique by key and effect pair` });
      return;
    }
    seen.add(pair);
  });
}

function validateCidrs(errors: FieldError[], object: ApiObject): void {
  const cidrs = as<Node>(object).spec?.podCIDRs ?? [];
  cidrs.forEach((cidr, i) => {
    if (parseLegacyCidr(cidr) === undefined)
      errors.push(
        invalidValue(`spec.podCIDRs[${i}]`, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
      );
  });
  if (cidrs.length > 2)
    errors.push(invalidValue("spec.podCIDRs", cidrs, "specify no more than one CIDR for each IP family"));
}

export const node: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "nodes",
  kind: "Node",
  defaults(draft) {
    const spec = objectIn(draft, "spec");
    if (spec !== undefined) {
      const cidr = spec["podCIDR"];
      const cidrs = Array.isArray(spec["podCIDRs"]) ? (spec["podCIDRs"] as string[]) : [];
      if (typeof cidr === "string" && cidr !== "" && cidrs[0] !== cidr) spec["podCIDRs"] = [cidr];
      else if ((cidr === undefined || cidr === "") && cidrs.length > 0) spec["podCIDR"] = cidrs[0];
    }
    const status = objectIn(draft, "status");
    if (status !== undefined && status["allocatable"] === undefined && status["capacity"] !== undefined)
      setDefault(status, "allocatable", { ...objectIn(status, "capacity") });
  },
  validate(object) {
    const errors: FieldError[] = [];
    validateTaints(errors, object);
    validateCidrs(errors, object);
    return errors;
  },
  update: {
    prepare: keepStatus,
    validate(object, old) {
      const errors: FieldError[] = [];
      const spec = as<Node>(object).spec;
      const before = as<Node>(old).spec;
      if ((before?.podCIDRs?.length ?? 0) > 0 && !equalJson(spec?.podCIDRs, before?.podCIDRs))
        errors.push(forbiddenField("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'));
      if (text(before?.providerID) !== "" && spec?.providerID !== before?.providerID)
        errors.push(
          forbiddenField("spec.providerID", 'node updates may not change providerID except from "" to valid'),
        );
      validateTaints(errors, object);
      return errors;
    },
  },
  subresources: { status: statusUpdate },
  selectableFields: { "spec.unschedulable": (o) => String(as<Node>(o).spec?.unschedulable ?? false) },
};
