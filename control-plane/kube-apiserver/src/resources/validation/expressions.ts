import {
  ANY,
  BIND_MACROS,
  BOOL,
  createCelEnvironment,
  mapType,
  objectType,
  STRING,
  type CelEnvironment,
  type CelType,
  type SizeEstimator,
} from "@coracle/cel";
import { invalidValue, type FieldError } from "@coracle/apimachinery";
import { admissionEnvironment } from "../../admission/expressions/admission-environment.ts";
import { compileExpression, RESULTS } from "../../admission/policy/policy-environment.ts";

/** What is wrong with an expression that decides about requests; undefined when nothing is. */
export function conditionProblem(
  expression: string,
  environment: CelEnvironment = admissionEnvironment(),
): string | undefined {
  return compileExpression(environment, expression, RESULTS.condition).problem;
}

const QUANTITY = objectType("kubernetes.Quantity");
const DEVICE_FIELDS: Readonly<Record<string, CelType>> = {
  driver: STRING,
  attributes: mapType(STRING, mapType(STRING, ANY)),
  capacity: mapType(STRING, mapType(STRING, QUANTITY)),
  allowMultipleAllocations: BOOL,
};
const MAX_SELECTOR_COST = 1_000_000;
const MAX_DRIVER = 63;
const MAX_DOMAINS = 32;
const MAX_VALUE = 64;

/** The most there can be of what a path into a device leads to. */
const deviceSizes: SizeEstimator = ([variable, field, domain, name]) => {
  if (variable !== "device" || field === undefined) return undefined;
  if (field === "driver") return { min: 0, max: MAX_DRIVER };
  if (field === "allowMultipleAllocations") return undefined;
  if (domain === undefined) return { min: 0, max: MAX_DOMAINS };
  if (domain === "@keys") return { min: 0, max: MAX_DRIVER };
  if (name === undefined) return { min: 0, max: MAX_DOMAINS };
  return { min: 0, max: name === "@keys" ? MAX_DOMAINS : MAX_VALUE };
};

let devices: CelEnvironment | undefined;

function deviceEnvironment(): CelEnvironment {
  devices ??= createCelEnvironment({
    variables: { device: objectType("kubernetes.DRADevice") },
    objects: [{ name: "kubernetes.DRADevice", field: (name) => DEVICE_FIELDS[name] }],
    macros: new Map(BIND_MACROS),
  });
  return devices;
}

/** Checks an expression that chooses devices. */
export function validateDeviceExpression(errors: FieldError[], path: string, expression: string): void {
  const { program, problem } = { program: undefined, ...compileExpression(deviceEnvironment(), expression, undefined) };
  if (program === undefined) {
    errors.push(invalidValue(path, expression, problem ?? ""));
    return;
  }
  const { kind, name } = program.resultType;
  if (kind !== "bool" && kind !== "any") {
    errors.push(invalidValue(path, expression, `must evaluate to bool or the unknown type, not ${name}`));
    return;
  }
  if (program.estimateCost(deviceSizes).max <= MAX_SELECTOR_COST) return;
  errors.push({ type: "FieldValueForbidden", field: path, message: "Forbidden: too complex, exceeds cost limit" });
}
