/** The rules over API data: errors, selectors, quantities, patches, the schema engine. */
export { goText } from "./json/go-text.ts";
export { featureGates, isGateOn, readFeatureGates, type KnownGate } from "./feature-gates.ts";
export {
  duplicate,
  fieldInternalError,
  fieldNotFound,
  forbiddenField,
  invalid,
  invalidValue,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
  type FieldError,
  type FieldErrorType,
} from "./errors/field-error.ts";
export {
  alreadyExists,
  badRequest,
  conflict,
  expired,
  forbidden,
  internalError,
  invalidWithCauses,
  isAlreadyExists,
  isConflict,
  isExpired,
  isNotFound,
  isStatusError,
  methodNotAllowed,
  notAcceptable,
  notFound,
  qualifiedResource,
  requestEntityTooLarge,
  serviceUnavailable,
  statusError,
  StatusError,
  STATUS_REASONS,
  timeout,
  tooManyRequests,
  unauthorized,
  unsupportedMediaType,
  type ResourceName,
  type StatusReason,
} from "./errors/status-error.ts";
export { cloneJson, equalJson, isObject, type Draft, type Json, type JsonObject } from "./json/json.ts";
export {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  milliQuantityOf,
  parseQuantity,
  QuantityError,
  quantityMilliValue,
  quantityOf,
  quantityValue,
  roundUpToMilli,
  subtractQuantities,
  zeroQuantity,
  type Quantity,
  type QuantityFormat,
} from "./quantity/quantity.ts";
export {
  formatIp,
  isCidr,
  isIpAddress,
  isIpLiteral,
  isIpv4Address,
  isIpv6Address,
  parseCidr,
  parseIp,
  parseLegacyCidr,
  parseLegacyIp,
  type Cidr,
} from "./validation/addresses.ts";
export {
  EMPTY_MESSAGE,
  grammarMessage,
  IMMUTABLE_MESSAGE,
  isCIdentifier,
  isConfigMapKey,
  isDns1035Label,
  isDns1123Label,
  isDns1123Subdomain,
  isDns1123SubdomainWithUnderscore,
  isDomainPrefixedPath,
  isEnvVarName,
  isFullyQualifiedName,
  isGroupId,
  isHttpHeaderName,
  isLabelValue,
  isPathSegmentName,
  isPercent,
  isPortName,
  isPortNumber,
  isQualifiedName,
  isRelaxedEnvVarName,
  isUserId,
  isWildcardDns1123Subdomain,
  maxLengthMessage,
  nameIsDns1035Label,
  nameIsDns1123Label,
  nameIsDns1123Subdomain,
  nameIsPathSegment,
  NEGATIVE_MESSAGE,
  rangeMessage,
} from "./validation/names.ts";
export {
  cannotBeHandled,
  decodeObject,
  DecodeError,
  fieldPath,
  strictDecodingError,
  type Decoded,
} from "./schema/decode.ts";
export {
  openBuiltInDefinitions,
  type Definition,
  type DefinitionSource,
  type GroupVersionKind,
} from "./schema/definitions.ts";
export { builtInSchema, createSchemaEngine, type SchemaEngine } from "./schema/schema-engine.ts";
export type { FieldSchema, ObjectSchema, SchemaNode } from "./schema/schema-node.ts";
export { wrapIntegers } from "./schema/wrap-integers.ts";
export { formatDuration, formatMicroTime, formatTime, parseDuration, parseTime, type WireTime } from "@coracle/api";
export { jsonFaultIn } from "./json/json-fault.ts";
export { duplicateFields, parseJson, parseJsonStrict, strictFields, type ParsedJson } from "./json/parse-json.ts";
export { checkConfig } from "./apply/check-config.ts";
export { compareObjects, fieldSetOf, type Comparison } from "./apply/compare.ts";
export { equalSets, intersectSets, pathsOf, subtractSet, uniteSets, type FieldSet } from "./apply/field-set.ts";
export {
  applyConfig,
  ownBeforeFirstApply,
  readManagedFields,
  storedManagedFields,
  textOfManager,
  trackUpdate,
  writeManagedFields,
  type Applied,
  type ApplyConflict,
  type ApplyRequest,
  type InVersion,
  type ManagedFields,
  type Writer,
} from "./apply/managed-fields.ts";
export { sharedSet, textOfFieldSet } from "./apply/shared-sets.ts";
export { mergeConfig } from "./apply/merge.ts";
export { DEDUCED, mergeTypeOf, type MergeType } from "./apply/merge-type.ts";
export { applyJsonPatch, MAX_JSON_PATCH_OPERATIONS } from "./patch/json-patch.ts";
export { applyMergePatch, createMergePatch } from "./patch/merge-patch.ts";
export { applyStrategicMergePatch } from "./patch/strategic-merge-patch.ts";
export { IntOrStringError, scaledValue } from "./quantity/int-or-string.ts";
export {
  checkFieldLabels,
  fieldSelectorOf,
  parseFieldSelector,
  type FieldRequirement,
  type FieldSelector,
} from "./selector/field-selector.ts";
export {
  compileLabelSelector,
  everything,
  nothing,
  parseLabelSelector,
  selectorFromLabels,
  selectorOf,
  validateLabelSelector,
  type Labels,
  type Requirement,
  type Selector,
} from "./selector/label-selector.ts";
export {
  MAX_ANNOTATION_BYTES,
  validateAnnotations,
  validateLabels,
  validateObjectMeta,
  validateObjectMetaUpdate,
  type NameRule,
} from "./validation/object-meta.ts";
export {
  addAmounts,
  equalAmounts,
  exceeding,
  growth,
  maskAmounts,
  printAmounts,
  readAmounts,
  withoutZeros,
  writeAmounts,
  type Amounts,
} from "./quota-usage/amounts.ts";
export { changesClaimUsage } from "./quota-usage/core-evaluators.ts";
export { isInScopes, scopesOf, type QuotaEvaluator, type QuotaRequest } from "./quota-usage/evaluator.ts";
export { countedKinds, quotaEvaluatorOf, usageOf } from "./quota-usage/evaluators.ts";
export { isTerminatingPod, usesResources } from "./quota-usage/pod-evaluator.ts";
export { hasPodLevelResources, isPodLevelResource, podLimits, podRequests } from "./quota-usage/pod-resources.ts";
