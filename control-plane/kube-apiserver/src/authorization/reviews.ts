import {
  badRequest,
  forbiddenField,
  invalid,
  invalidValue,
  isLabelValue,
  isObject,
  isQualifiedName,
  parseFieldSelector,
  parseLabelSelector,
  required,
  type Draft,
  type FieldError,
  type FieldRequirement,
  type JsonObject,
  type Requirement,
} from "@coracle/apimachinery";
import { joinErrors } from "../authentication/authenticator.ts";
import type { UserInfo } from "../authentication/user.ts";
import type { VirtualResource } from "../server/resource-routes.ts";
import type { AuthorizationAttributes, Authorizer } from "./authorizer.ts";

const API_VERSION = "authorization.k8s.io/v1";
const string = (value: unknown): string => (typeof value === "string" ? value : "");

function specOf(body: Draft): Draft {
  return isObject(body["spec"]) ? body["spec"] : {};
}

/** Path and verb as messages print them. */
const printedPath = (path: Draft): JsonObject => ({ Path: string(path["path"]), Verb: string(path["verb"]) });

/** What is wrong with one term of a selector. Operators that are not known are let pass: newer clients may know them. */
function requirementErrors(term: unknown, path: string, isLabel: boolean): FieldError[] {
  const { key, operator, values } = isObject(term) ? term : {};
  const count = Array.isArray(values) ? values.length : 0;
  const errors: FieldError[] = [];
  const name = string(key);
  if (!isLabel && name === "") errors.push(required(`${path}.key`, "must be specified"));
  if ((operator === "In" || operator === "NotIn") && count === 0) {
    errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
  }
  if ((operator === "Exists" || operator === "DoesNotExist") && count > 0) {
    errors.push(forbiddenField(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
  }
  if (isLabel) {
    for (const why of isQualifiedName(name)) errors.push(invalidValue(`${path}.key`, name, why));
    if (operator === "In" || operator === "NotIn") {
      for (const [i, value] of (Array.isArray(values) ? values : []).entries()) {
        for (const why of isLabelValue(string(value))) errors.push(invalidValue(`${path}.values[${i}]`, value, why));
      }
    }
  }
  return errors;
}

function selectorErrors(selector: unknown, path: string, isLabel: boolean): FieldError[] {
  if (!isObject(selector)) return [];
  const raw = string(selector["rawSelector"]);
  const terms = Array.isArray(selector["requirements"]) ? selector["requirements"] : [];
  const errors: FieldError[] = [];
  if (raw !== "" && terms.length > 0) {
    errors.push(invalidValue(`${path}.rawSelector`, raw, "may not specified at the same time as requirements"));
  }
  if (raw === "" && terms.length === 0) {
    errors.push(required(`${path}.requirements`, `when ${path} is specified, requirements or rawSelector is required`));
  }
  return [...errors, ...terms.flatMap((term, i) => requirementErrors(term, `${path}.requirements[${i}]`, isLabel))];
}

/** A review must ask about one thing, not about nothing or two. */
function attributeErrors(spec: Draft): FieldError[] {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (isObject(resource) && isObject(path)) {
    const why = "cannot be specified in combination with resourceAttributes";
    return [invalidValue("spec.nonResourceAttributes", printedPath(path), why)];
  }
  if (isObject(resource) || isObject(path)) return [];
  const why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
  return [invalidValue("spec.resourceAttributes", null, why)];
}

function limitErrors(spec: Draft): FieldError[] {
  const resource = spec["resourceAttributes"];
  if (!isObject(resource)) return [];
  return [
    ...selectorErrors(resource["fieldSelector"], "spec.resourceAttributes.fieldSelector", false),
    ...selectorErrors(resource["labelSelector"], "spec.resourceAttributes.labelSelector", true),
  ];
}

/** A review is no object: it has no name, no labels. */
function metadataErrors(body: Draft, ignored: readonly string[] = []): FieldError[] {
  const { managedFields: _, ...given } = isObject(body["metadata"]) ? body["metadata"] : {};
  const isSet = (value: unknown): boolean =>
    value !== undefined && value !== null && value !== "" && !(isObject(value) && Object.keys(value).length === 0);
  const set = Object.entries(given).filter(([, value]) => isSet(value));
  if (set.every(([field]) => ignored.includes(field))) return [];
  const why = ignored.length === 0 ? "must be empty" : `must be empty except for ${ignored.join(", ")}`;
  return [invalidValue("metadata", Object.fromEntries(set) as JsonObject, why)];
}

function refuse(errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: "authorization.k8s.io", kind: "" }, "", errors);
}

/** A selector's terms, as far as they can be understood. */
interface Terms<T> {
  readonly requirements: readonly T[];
  readonly isBroken: boolean;
}

function fieldTerms(selector: unknown): Terms<FieldRequirement> {
  if (!isObject(selector)) return { requirements: [], isBroken: false };
  const given = Array.isArray(selector["requirements"]) ? selector["requirements"].filter(isObject) : [];
  if (given.length === 0) return parseTerms(() => parseFieldSelector(string(selector["rawSelector"])).requirements);
  const requirements = given.flatMap(({ key, operator, values }): FieldRequirement[] => {
    const value: unknown = Array.isArray(values) && values.length === 1 ? values[0] : undefined;
    if (value === undefined || (operator !== "In" && operator !== "NotIn")) return [];
    return [{ field: string(key), operator: operator === "In" ? "=" : "!=", value: string(value) }];
  });
  return { requirements, isBroken: requirements.length < given.length };
}

function labelTerms(selector: unknown): Terms<Requirement> {
  if (!isObject(selector)) return { requirements: [], isBroken: false };
  const given = Array.isArray(selector["requirements"]) ? selector["requirements"].filter(isObject) : [];
  if (given.length === 0) return parseTerms(() => parseLabelSelector(string(selector["rawSelector"])).requirements);
  const requirements = given.flatMap(({ key, operator, values }): Requirement[] => {
    const known = typeof operator === "string" ? LABEL_OPERATORS.get(operator) : undefined;
    if (known === undefined) return [];
    return [{ key: string(key), operator: known, values: Array.isArray(values) ? values.map(string) : [] }];
  });
  return { requirements, isBroken: requirements.length < given.length };
}

const LABEL_OPERATORS: ReadonlyMap<string, Requirement["operator"]> = new Map([
  ["In", "in"],
  ["NotIn", "notin"],
  ["Exists", "exists"],
  ["DoesNotExist", "!"],
]);

function parseTerms<T>(parse: () => readonly T[]): Terms<T> {
  try {
    return { requirements: parse(), isBroken: false };
  } catch {
    return { requirements: [], isBroken: true };
  }
}

/** What a review asks, and what of it could not be understood. */
interface Question {
  readonly attributes: AuthorizationAttributes;
  readonly errors: readonly string[];
}

/** What a review asks about. It has been checked. */
function questionIn(spec: Draft, user: UserInfo): Question {
  const resource = isObject(spec["resourceAttributes"]) ? spec["resourceAttributes"] : undefined;
  const path = isObject(spec["nonResourceAttributes"]) ? spec["nonResourceAttributes"] : {};
  const about = resource ?? {};
  const version = string(about["version"]);
  const terms = {
    fieldSelector: fieldTerms(about["fieldSelector"]),
    labelSelector: labelTerms(about["labelSelector"]),
  };
  const errors = Object.entries(terms).flatMap(([field, { requirements, isBroken }]) => {
    const partly = requirements.length > 0 ? "partially " : "";
    return isBroken ? [`spec.resourceAttributes.${field} ${partly}ignored due to parse error`] : [];
  });
  const attributes: AuthorizationAttributes = {
    user,
    verb: string((resource ?? path)["verb"]),
    isResource: resource !== undefined,
    group: string(about["group"]),
    version: resource === undefined || version !== "" ? version : "*",
    resource: string(about["resource"]),
    subresource: string(about["subresource"]),
    namespace: string(about["namespace"]),
    name: string(about["name"]),
    path: string(path["path"]),
    fieldRequirements: terms.fieldSelector.requirements,
    labelRequirements: terms.labelSelector.requirements,
  };
  return { attributes, errors };
}

/** A review of somebody must say of whom. */
function userErrors(spec: Draft): FieldError[] {
  const hasGroups = Array.isArray(spec["groups"]) && spec["groups"].length > 0;
  if (string(spec["user"]) !== "" || hasGroups) return [];
  return [invalidValue("spec.user", "", "at least one of user or group must be specified")];
}

function userIn(spec: Draft): UserInfo {
  const groups = Array.isArray(spec["groups"]) ? spec["groups"].map(String) : [];
  const name = string(spec["user"]);
  const extra = isObject(spec["extra"]) ? (spec["extra"] as Record<string, string[]>) : undefined;
  return {
    name,
    groups,
    ...(typeof spec["uid"] === "string" ? { uid: spec["uid"] } : {}),
    ...(extra === undefined ? {} : { extra }),
  };
}

async function answer(authorizer: Authorizer, kind: string, body: Draft, question: Question): Promise<JsonObject> {
  const decision = await authorizer.authorize(question.attributes);
  const metadata = (isObject(body["metadata"]) ? body["metadata"] : {}) as JsonObject;
  const errors = [...(decision.error === undefined ? [] : [decision.error]), ...question.errors];
  return {
    kind,
    apiVersion: API_VERSION,
    metadata,
    spec: specOf(body) as JsonObject,
    status: {
      allowed: decision.verdict === "allow",
      ...(decision.verdict === "deny" ? { denied: true } : {}),
      ...(decision.reason === undefined || decision.reason === "" ? {} : { reason: decision.reason }),
      ...(errors.length === 0 ? {} : { evaluationError: errors.join("; ") }),
    },
  };
}

/** May that user? */
export function subjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "SubjectAccessReview";
  return (_request, body) => {
    const spec = specOf(body);
    refuse([...attributeErrors(spec), ...userErrors(spec), ...limitErrors(spec), ...metadataErrors(body)]);
    return answer(authorizer, kind, body, questionIn(spec, userIn(spec)));
  };
}

/** May that user, in this namespace? */
export function localSubjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "LocalSubjectAccessReview";
  return (_request, body, { namespace }) => {
    const spec = specOf(body);
    const errors = [
      ...attributeErrors(spec),
      ...userErrors(spec),
      ...limitErrors(spec),
      ...metadataErrors(body, ["namespace"]),
    ];
    const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
    if (isObject(resource) && string(resource["namespace"]) !== namespace) {
      const given = string(resource["namespace"]);
      errors.push(invalidValue("spec.resourceAttributes.namespace", given, "must match metadata.namespace"));
    }
    if (isObject(path)) {
      const why = "disallowed on this kind of request";
      errors.push(invalidValue("spec.nonResourceAttributes", printedPath(path), why));
    }
    refuse(errors);
    return answer(authorizer, kind, body, questionIn(spec, userIn(spec)));
  };
}

/** May I? */
export function selfSubjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "SelfSubjectAccessReview";
  return (request, body) => {
    const spec = specOf(body);
    refuse([...attributeErrors(spec), ...limitErrors(spec), ...metadataErrors(body)]);
    return answer(authorizer, kind, body, questionIn(spec, request.user));
  };
}

/** What may I? Authorisers that cannot say make the list incomplete, with a word why. */
export function selfSubjectRulesReview(authorizer: Authorizer): VirtualResource {
  return (request, body) => {
    const namespace = string(specOf(body)["namespace"]);
    if (namespace === "") throw badRequest("no namespace on request");
    const { rules, isIncomplete, errors } = authorizer.rulesFor?.(request.user, namespace) ?? {
      rules: [],
      isIncomplete: false,
      errors: [],
    };
    return Promise.resolve({
      kind: "SelfSubjectRulesReview",
      apiVersion: API_VERSION,
      metadata: {},
      spec: {},
      status: {
        resourceRules: rules
          .filter((rule) => (rule.resources ?? []).length > 0)
          .map(({ verbs, apiGroups = [], resources = [], resourceNames = [] }) => ({
            verbs,
            ...(apiGroups.length === 0 ? {} : { apiGroups }),
            resources,
            ...(resourceNames.length === 0 ? {} : { resourceNames }),
          })),
        nonResourceRules: rules
          .filter((rule) => (rule.nonResourceURLs ?? []).length > 0)
          .map(({ verbs, nonResourceURLs = [] }) => ({ verbs, nonResourceURLs })),
        incomplete: isIncomplete,
        ...(errors.length === 0 ? {} : { evaluationError: joinErrors(errors).message }),
      },
    });
  };
}
