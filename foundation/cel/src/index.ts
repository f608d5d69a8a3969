/**
 * The Common Expression Language as Kubernetes 1.35 speaks it: parsed, checked, estimated and evaluated with upstream's
 * messages and costs. Values handed in are plain JSON and are never copied.
 */
export {
  CompileError,
  createCelEnvironment,
  lazy,
  LazyValue,
  PER_CALL_LIMIT,
  RUNTIME_BUDGET,
  type Bindings,
  type CelEnvironment,
  type EnvironmentOptions,
  type Evaluation,
  type EvaluationOptions,
  type Program,
  type VariableDeclaration,
} from "./environment.ts";
export { admissionEnvironment, admissionEnvironmentWithoutAuthorizer } from "./admission/admission-environment.ts";
export {
  checkPolicyTypes,
  type PolicyExpressions,
  type TypedKind,
  type TypeWarning,
} from "./admission/check-policy-types.ts";
export type { OpenApiSchema, SchemaResolver } from "./schema/schema-type.ts";
export type { FunctionDeclaration, Implementation, ObjectDeclaration, Overload } from "./check/environment.ts";
export type { CostEstimate, SizeEstimator } from "./cost/estimate.ts";
export {
  AUTHORIZER,
  bindAuthorizer,
  RESOURCE_CHECK,
  type AuthorizationAnswer,
  type AuthorizationQuestion,
  type CelAuthorizer,
} from "./library/authorizer.ts";
export { BIND_MACROS, type MacroTable } from "./syntax/macros.ts";
export { JSON_PATCH } from "./library/formats.ts";
export { escapeField, unescapeField } from "./schema/field-names.ts";
export {
  ANY,
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  describeType,
  formatType,
  INT,
  listType,
  mapType,
  NULL,
  objectType,
  sameType,
  opaqueType,
  optionalType,
  STRING,
  TIMESTAMP,
  typeParam,
  typeType,
  UINT,
  type CelKind,
  type CelType,
} from "./types/cel-type.ts";
export { celToJson, NotJsonError } from "./values/to-json.ts";
export { DYNAMIC, viewJson, type ListShape, type ObjectShape, type Shape } from "./values/json-view.ts";
export {
  ArrayList,
  CelBytes,
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  EntryMap,
  typeNameOf,
  type CelValue,
} from "./values/value.ts";
