import type { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import { equalJson, notSupported, required, tooMany, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition, StrategyContext } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Label, labelValue, qualifiedName } from "../validation/names.ts";
import { objectIn } from "../validation/pod-defaults.ts";
import { keepStatus, onlyStatusUpdate, validateConditions } from "../validation/status.ts";
import { validateDriverName } from "../validation/volumes.ts";
import { validatePoolName } from "./resource-slice.ts";

const EFFECTS = ["NoExecute", "NoSchedule", "None"];
const MAX_CONDITIONS = 8;

/** A taint is from when it was put there. */
function dateTaint(draft: ApiDraft, { clock }: StrategyContext): void {
  const taint = objectIn(objectIn(draft, "spec"), "taint");
  if (taint === undefined) return;
  taint["timeAdded"] ??= new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
}

function validate(object: ApiObject, old?: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const { deviceSelector, taint } = as<DeviceTaintRule>(object).spec ?? {};
  const path = "spec.deviceSelector";
  if (deviceSelector?.driver !== undefined) validateDriverName(errors, `${path}.driver`, deviceSelector.driver);
  if (deviceSelector?.pool !== undefined) validatePoolName(errors, `${path}.pool`, deviceSelector.pool);
  if (deviceSelector?.device !== undefined)
    pushInvalid(errors, `${path}.device`, deviceSelector.device, dns1123Label(deviceSelector.device));
  pushInvalid(errors, "spec.taint.key", text(taint?.key), qualifiedName(text(taint?.key)));
  pushInvalid(errors, "spec.taint.value", taint?.value, labelValue(text(taint?.value)));
  const effect = text(taint?.effect);
  if (old !== undefined && equalJson(as<DeviceTaintRule>(old).spec?.taint?.effect, effect)) return errors;
  if (effect === "") errors.push(required("spec.taint.effect"));
  else if (!EFFECTS.includes(effect)) errors.push(notSupported("spec.taint.effect", effect, EFFECTS));
  return errors;
}

/** Taints that an administrator puts on devices; served where `--runtime-config` says so. */
export const deviceTaintRule: ResourceDefinition = {
  group: "resource.k8s.io",
  version: "v1alpha3",
  plural: "devicetaintrules",
  kind: "DeviceTaintRule",
  hasGeneration: true,
  prepareForCreate(draft, context) {
    delete draft["status"];
    dateTaint(draft, context);
  },
  validateNew: (object) => validate(object),
  update: {
    prepare(draft, old, context) {
      keepStatus(draft, old);
      dateTaint(draft, context);
    },
    validate,
  },
  subresources: {
    status: {
      ...onlyStatusUpdate,
      validate(object) {
        const errors: FieldError[] = [];
        const { conditions = [] } = as<DeviceTaintRule>(object).status ?? {};
        validateConditions(errors, "status.conditions", conditions);
        if (conditions.length > MAX_CONDITIONS)
          errors.push(tooMany("status.conditions", conditions.length, MAX_CONDITIONS));
        return errors;
      },
    },
  },
};
