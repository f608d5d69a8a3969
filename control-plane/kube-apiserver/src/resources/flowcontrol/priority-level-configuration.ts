import type { PriorityLevelConfiguration, QueuingConfiguration } from "@coracle/api/flowcontrol/v1";
import { forbiddenField, invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { objectIn, setDefault, setDefaultNumber } from "../validation/pod-defaults.ts";
import { keepStatus, onlyStatusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

const MAX_QUEUES = 10_000_000;
/** Bits that dealing a hand of queues to a flow takes; a 64-bit hash must do. */
const MAX_ENTROPY_BITS = 60;

function entropyBits(queues: number, handSize: number): number {
  let product = 1;
  for (let i = 0; i < handSize; i++) product *= queues - i;
  return Math.ceil(Math.log2(product));
}

function validateQueuing(errors: FieldError[], path: string, queuing: Decoded<QueuingConfiguration>): void {
  const queues = queuing.queues ?? 0;
  const handSize = queuing.handSize ?? 0;
  const limit = queuing.queueLengthLimit ?? 0;
  if (limit <= 0) errors.push(invalidValue(`${path}.queueLengthLimit`, limit, "must be positive"));
  if (queues <= 0) errors.push(invalidValue(`${path}.queues`, queues, "must be positive"));
  else if (queues > MAX_QUEUES)
    errors.push(invalidValue(`${path}.queues`, queues, `must not be greater than ${MAX_QUEUES}`));
  if (handSize <= 0) errors.push(invalidValue(`${path}.handSize`, handSize, "must be positive"));
  else if (handSize > queues)
    errors.push(invalidValue(`${path}.handSize`, handSize, `should not be greater than queues (${queues})`));
  else if (entropyBits(queues, handSize) > MAX_ENTROPY_BITS)
    errors.push(
      invalidValue(
        `${path}.handSize`,
        handSize,
        `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${MAX_ENTROPY_BITS}`,
      ),
    );
}

function nonNegativeShares(
  errors: FieldError[],
  path: string,
  value: number | undefined,
  detail = "must be a non-negative integer",
): void {
  if ((value ?? 0) < 0) errors.push(invalidValue(path, value, detail));
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<PriorityLevelConfiguration>(object).spec ?? {};
  const isExempt = as<PriorityLevelConfiguration>(object).metadata?.name === "exempt";
  if (isExempt !== (spec.type === "Exempt") && (isExempt || spec.type === "Exempt"))
    errors.push(invalidValue("spec.type", text(spec.type), "type must be 'Exempt' if and only if name is 'exempt'"));
  const limited = spec.limited;
  switch (spec.type) {
    case "Exempt":
      if (limited !== undefined) errors.push(forbiddenField("spec.limited", "must be nil if the type is not Limited"));
      nonNegativeShares(errors, "spec.exempt.nominalConcurrencyShares", spec.exempt?.nominalConcurrencyShares);
      break;
    case "Limited": {
      if (spec.exempt !== undefined) errors.push(forbiddenField("spec.exempt", "must be nil if the type is Limited"));
      if (limited === undefined) {
        errors.push(required("spec.limited", "must not be empty when type is Limited"));
        break;
      }
      nonNegativeShares(errors, "spec.limited.nominalConcurrencyShares", limited.nominalConcurrencyShares);
      const response = limited.limitResponse;
      const path = "spec.limited.limitResponse";
      if (response?.type === "Reject") {
        if (response.queuing !== undefined)
          errors.push(forbiddenField(`${path}.queuing`, "must be nil if limited.limitResponse.type is not Limited"));
      } else if (response?.type === "Queue") {
        if (response.queuing === undefined)
          errors.push(required(`${path}.queuing`, "must not be empty if limited.limitResponse.type is Limited"));
        else validateQueuing(errors, `${path}.queuing`, response.queuing);
      } else errors.push(notSupported(`${path}.type`, text(response?.type), ["Queue", "Reject"]));
      const lendable = limited.lendablePercent;
      if (lendable !== undefined && (lendable < 0 || lendable > 100))
        errors.push(invalidValue("spec.limited.lendablePercent", lendable, "must be between 0 and 100, inclusive"));
      nonNegativeShares(
        errors,
        "spec.limited.borrowingLimitPercent",
        limited.borrowingLimitPercent,
        "if specified, must be a non-negative integer",
      );
      break;
    }
    default:
      errors.push(notSupported("spec.type", text(spec.type), ["Exempt", "Limited"]));
  }
  return errors;
}

export const priorityLevelConfiguration: ResourceDefinition = {
  group: "flowcontrol.apiserver.k8s.io",
  version: "v1",
  plural: "prioritylevelconfigurations",
  kind: "PriorityLevelConfiguration",
  defaults(draft) {
    const spec = objectIn(draft, "spec");
    const exempt = objectIn(spec, "exempt");
    if (spec?.["type"] === "Exempt" && exempt === undefined) spec["exempt"] = {};
    const shared = objectIn(spec, "exempt");
    if (shared !== undefined) {
      setDefault(shared, "nominalConcurrencyShares", 0);
      setDefault(shared, "lendablePercent", 0);
    }
    const limited = objectIn(spec, "limited");
    if (limited === undefined) return;
    setDefault(limited, "nominalConcurrencyShares", 30);
    setDefault(limited, "lendablePercent", 0);
    const queuing = objectIn(objectIn(limited, "limitResponse"), "queuing");
    if (queuing === undefined) return;
    setDefaultNumber(queuing, "queues", 64);
    setDefaultNumber(queuing, "handSize", 8);
    setDefaultNumber(queuing, "queueLengthLimit", 50);
  },
  prepareForCreate: freshStatus({}),
  validate,
  update: { prepare: keepStatus },
  subresources: { status: onlyStatusUpdate },
};
